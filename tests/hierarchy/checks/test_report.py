"""The page of a hierarchy: whole, without a network, and unharmed by hostile names."""

import json
import re
from html.parser import HTMLParser

from hierarchy import Hierarchy
from hierarchy.checks import render_report
from hierarchy.proposal import Finding, Move

HOSTILE = '<script>alert("1")<\\script><!-- \u2028 {{data}} & \' &lt; \\'.replace("\u2028", "")
PETS = Hierarchy.from_rows(
    [
        ("n1", "tabby", "mammals", "cats"),
        ("n2", "carp", "fish", "carps"),
        ("n3", "siamese", "mammals", "cats"),
        ("n4", "beagle", "mammals", "dogs"),
    ]
)


class Page(HTMLParser):
    """What a browser sees: elements with their attributes, the text outside scripts, the data."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.words, self.scripts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.cdata_elem == "script":
            self.scripts[-1] += data
        elif self.cdata_elem is None:
            self.words.append(data)

    @property
    def data(self):
        return json.loads(self.scripts[0])

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


def test_the_page_holds_the_tree_in_node_order():
    data = Page(render_report(PETS, [], title="pets", definitions={"n3": "a slender cat", "n9": "unknown"})).data
    assert data["names"] == [
        "all classes",
        "fish",
        "mammals",
        "carps",
        "cats",
        "dogs",
        "carp",
        "siamese",
        "tabby",
        "beagle",
    ]
    assert data["parents"] == [-1, 0, 0, 1, 2, 2, 3, 4, 4, 5]
    assert data["ids"] == ["n2", "n3", "n1", "n4"]
    assert data["definitions"] == {"7": "a slender cat"}


def test_findings_are_ranked_and_lead_to_their_node():
    findings = [
        Finding("small", "mammals/dogs", "one class", "note"),
        Finding("odd_one", "n1", "not a cat", "warning", 0.2, edit=Move("n1", "mammals/dogs")),
        Finding("odd_one", "mammals/cats/siamese", "not a cat", "warning", 0.9),
        Finding("missing", "n7", "not placed", "error"),
        Finding("shape", "", "few superclasses", "note"),
    ]
    page = Page(render_report(PETS, findings, title="pets"))
    assert [(row[0], row[3], row[5]) for row in page.data["findings"]] == [
        ("error", "n7", -1),
        ("warning", "mammals/cats/siamese", 7),
        ("warning", "n1", 8),
        ("note", "", 0),
        ("note", "mammals/dogs", 5),
    ]
    assert page.data["findings"][2][4] == "move n1 to mammals/dogs"
    assert "1 error, 2 warnings, 2 notes" in page.text


def test_figures_and_provenance_are_text():
    page = Page(
        render_report(PETS, title="pets", provenance={"seed": 3, "versions": {"timm": "1.0"}, "command": "a < b"})
    )
    for words in (
        "superclasses 2 1–2 (median 1.5) groups each",
        "groups 3 1–2 (median 1) classes each",
        "classes 4",
        PETS.digest,
    ):
        assert words in page.text
    assert 'seed 3 versions {"timm": "1.0"} command a < b' in page.text


def test_hostile_names_stay_text():
    name = HOSTILE
    tree = Hierarchy.from_rows([(name + "1", name, name, name), ("n2", "</script>", name, "x"), ("n3", "c", "y", "z")])
    finding = Finding("odd</script>", "n2", "</script><img src=x onerror=alert(1)>", "note")
    text = render_report(
        tree,
        [finding],
        title=f"</title></script>{name}",
        definitions={"n3": "</script>"},
        provenance={name: "</dl></script>"},
    )
    page, plain = Page(text), Page(render_report(PETS, title="pets"))
    assert page.data["names"][1:3] == sorted([name, "y"])
    assert page.data["findings"][0][2] == finding.message
    assert list(page.data["definitions"].values()) == ["</script>"]
    assert len(page.scripts) == len(plain.scripts) == 3
    assert not any(tag == "img" for tag, _ in page.elements)
    assert page.scripts[1:] == plain.scripts[1:]
    assert f"</title></script>{name}" in "".join(page.words)
    assert "</dl></script>" in page.words


def test_the_page_asks_nothing_of_a_network():
    page = Page(render_report(PETS, title="pets"))
    assert not any({"src", "href", "srcset", "data"} & set(attributes) for _, attributes in page.elements)
    (policy,) = (a["content"] for t, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'") and "http" not in policy
    assert "Plotly" in page.scripts[1] and len(page.scripts[1]) > 1_000_000


def test_images_of_classes_are_in_the_page_only_when_they_are_known():
    data = Page(render_report(PETS, title="pets", images=dict.fromkeys(PETS.classes[1:], 3))).data
    order = sorted(range(len(PETS)), key=PETS.ancestors(3).__getitem__)
    assert data["images"] == [3 if label else 0 for label in order]
    assert "images" not in Page(render_report(PETS, title="pets")).data
