"""Files with class names as tools and data sets write them: ids, names, order and groups, or a clear error."""

import json

import pytest

from hierarchy import Hierarchy
from hierarchy.errors import FormatError, HierarchyError, SourceError
from hierarchy.sources import FORMS, WRITERS, read_classes, write_labels
from hierarchy.sources.files import content as content_module

PETS = ("tabby", "sea_lion", "T-shirt/top")  # ids as data sets write them
SHOWN = ("tabby", "sea lion", "T-shirt/top")

# file name -> (its content, its form). All of them hold PETS, in this order.
FILES = {
    # named in the issue
    "data.yaml": ("path: pets\nnc: 3\nnames: [tabby, sea_lion, T-shirt/top]\n", "yolo"),
    "coco8.yml": ("names:\n  0: tabby\n  2: T-shirt/top\n  1: sea_lion\n", "yolo"),
    "config.json": (
        '{"model_type": "vit", "id2label": {"0": "tabby", "2": "T-shirt/top", "1": "sea_lion"}}',
        "id2label",
    ),
    "class_to_idx.json": ('{"tabby": 0, "T-shirt/top": 2, "sea_lion": 1}', "class-to-idx"),
    "idx_to_class.json": ('{"0": "tabby", "10": "T-shirt/top", "2": "sea_lion"}', "idx-to-class"),
    "labels.json": ('["tabby",\n "sea_lion",\n "T-shirt/top"]', "list"),
    "instances.json": (
        '{"images": [], "categories": [{"id": 7, "name": "T-shirt/top"}, {"id": 1, "name": "tabby"},'
        ' {"id": 2, "name": "sea_lion"}]}',
        "coco",
    ),
    "pets.names": ("tabby\nsea_lion\nT-shirt/top\n", "names"),
    "coral.txt": ("0  tabby\r\n1  sea_lion\r\n5  T-shirt/top\r\n", "number-first"),
    "classInd.txt": ("1 tabby\n2 sea_lion\n3 T-shirt/top\n", "number-first"),
    "numbered.csv": ("0,tabby\n1,sea_lion\n2,T-shirt/top\n", "table"),
    "headed.csv": ("class_id,label\n0,tabby\n2,T-shirt/top\n1,sea_lion\n", "table"),
    "tabs.txt": ("tabby\t0\nsea_lion\t1\nT-shirt/top\t2\n", "table"),
    "label studio.xml": (
        '<View><Image name="i"/><Choices name="c" toName="i"><Choice value="tabby"/><Choice value="sea_lion"/>'
        '<Choice value="T-shirt/top"/></Choices></View>',
        "label-studio",
    ),
    "boxes.xml": (
        '<View>\n<RectangleLabels name="c"><Label value="tabby" background="red"/><Label value="sea_lion"/>\n'
        '<Label value="T-shirt/top"/></RectangleLabels></View>',
        "label-studio",
    ),
    "fiftyone.json": ('{"default_classes": ["tabby", "sea_lion", "T-shirt/top"], "mask_targets": {}}', "named-list"),
    "fiftyone fields.json": (
        '{"name": "x", "classes": {"ground_truth": ["tabby", "sea_lion", "T-shirt/top"]}}',
        "named-list",
    ),
    # found in the wild
    "timm.json": (
        '{"architecture": "x", "pretrained_cfg": {"label_names": ["tabby", "sea_lion", "T-shirt/top"]}}',
        "label-names",
    ),
    "label2id.json": ('{"label2id": {"sea_lion": 1, "tabby": 0, "T-shirt/top": 2}}', "id2label"),
    "label_map.pbtxt": (
        "item {\n  name: 'tabby'\n  id: 1\n}\nitem {\n  id: 3\n  name: \"T-shirt/top\"\n}\n"
        "item {\n name: 'sea_lion' id: 2 }\n",
        "pbtxt",
    ),
    "places.txt": ("tabby 0\nsea_lion 1\nT-shirt/top 2\n", "number-last"),
    "kitti.yaml": (
        "labels:\n  0: tabby\n  10: sea_lion\n  99: T-shirt/top\ncolor_map:\n  0: [0, 0, 0]\n",
        "named-list",
    ),
    "cvat.json": ('[{"name": "tabby", "attributes": []}, {"name": "sea_lion"}, {"name": "T-shirt/top"}]', "objects"),
    "supervisely.json": (
        '{"classes": [{"title": "tabby"}, {"title": "sea_lion"}, {"title": "T-shirt/top"}]}',
        "objects",
    ),
    "dataset_info.json": (
        '{"features": {"image": {"_type": "Image"}, "label": {"names": ["tabby", "sea_lion", "T-shirt/top"],'
        ' "_type": "ClassLabel"}}}',
        "dataset-info",
    ),
    "README.md": (
        "---\ndataset_info:\n  features:\n  - name: label\n    dtype:\n      class_label:\n        names:\n"
        "          '0': tabby\n          '1': sea_lion\n          '2': T-shirt/top\n---\n# Pets\n",
        "dataset-info",
    ),
    "python.txt": ("['tabby', 'sea_lion',\n 'T-shirt/top']\n", "list"),
    "one line.txt": ("tabby, sea_lion, T-shirt/top\n", "names"),
    "semicolons.csv": ("label;colour\ntabby;grey\nsea_lion;brown\nT-shirt/top;red\n", "table"),
    "nested.json": ('{"class_to_idx": {"sea_lion": 1, "tabby": 0, "T-shirt/top": 2}, "epoch": 3}', "class-to-idx"),
    "no extension": ("tabby\nsea_lion\nT-shirt/top", "names"),
    # the same in odd spellings
    "bom.yaml": ("\ufeffnc: '3'\r\nnames:\r\n  '2': T-shirt/top\r\n  '0': tabby\r\n  '1': sea_lion\r\n", "yolo"),
    "floats.json": ('{"tabby": 0.0, "T-shirt/top": 2.0, "sea_lion": 1.0}', "class-to-idx"),
    "pairs.json": ('[[0, "tabby"], [2, "T-shirt/top"], [1, "sea_lion"]]', "list"),
    "by number.json": (
        '{"0": {"name": "tabby"}, "2": {"name": "T-shirt/top"}, "1": {"name": "sea_lion"}}',
        "objects",
    ),
    "rows.jsonl": (
        '{"id": 0, "name": "tabby"}\n{"id": 2, "name": "T-shirt/top"}\n{"id": 1, "name": "sea_lion"}\n',
        "objects",
    ),
    "dashes.txt": ("0 - tabby\n1 - sea_lion\n2 - T-shirt/top\n", "number-first"),
    "equals.txt": ("0=tabby\n2=T-shirt/top\n1=sea_lion\n", "number-first"),
    "points.txt": ("1. tabby\n2. sea_lion\n3. T-shirt/top\n", "number-first"),
    "bullets.txt": ("# Pets\n- tabby\n- sea_lion\n- T-shirt/top\n", "names"),
    "quotes.txt": ('"tabby",\n"sea_lion",\n"T-shirt/top"\n', "names"),
    "semicolons.txt": ("tabby; sea_lion; T-shirt/top\n", "names"),
    "config.py": ('# classes\nMETAINFO = {"classes": ("tabby", "sea_lion", "T-shirt/top")}\n', "named-list"),
    "pets.toml": ('names = ["tabby", "sea_lion", "T-shirt/top"]\n', "list"),
    "numbers.csv": ("ID;NAME\n1;tabby\n3;T-shirt/top\n2;sea_lion\n", "table"),  # COCO's categories as a table
    "signs.csv": ("ClassId,SignName\n0,tabby\n2,T-shirt/top\n1,sea_lion\n", "table"),  # GTSRB
    "bars.csv": ("index|label\n0|tabby\n1|sea_lion\n2|T-shirt/top\n", "table"),
    "one line.csv": ("tabby,sea_lion,T-shirt/top\n", "table"),
    "labelmap.txt": (  # CVAT's masks
        "# label:color_rgb:parts:actions\ntabby:128,0,0::\nsea_lion:0,128,0::\nT-shirt/top:0,0,128::\n",
        "colours",
    ),
    "annotations.xml": (
        "<?xml version='1.0'?><annotations><meta><labels><label><name>tabby</name></label><label><name>sea_lion</name>"
        "</label><label><name>T-shirt/top</name></label></labels></meta></annotations>",
        "annotations",
    ),
    "keypoints.pbtxt": (
        'item: {\n id: 1\n name: "tabby"\n keypoints { id: 0 label: "nose" }\n}\n'
        'item { id: 2 name: "sea_lion" }\nitem { name: "T-shirt/top" id: 3 }\n',
        "pbtxt",
    ),
    # inside larger files
    "model.json": ('{"config": {"id2label": {"0": "tabby", "2": "T-shirt/top", "1": "sea_lion"}}}', "nested"),
    "metadata.json": (  # Detectron2
        '{"thing_classes": ["tabby", "sea_lion", "T-shirt/top"], "thing_dataset_id_to_contiguous_id": {"7": 0}}',
        "nested",
    ),
    "dataset_infos.json": (
        '{"default": {"features": {"labels": {"names": ["tabby", "sea_lion", "T-shirt/top"], "num_classes": 3}}}}',
        "nested",
    ),
    "vision_msgs.yaml": (  # ROS
        "info:\n  class_map:\n  - {class_id: 2, class_name: T-shirt/top}\n  - {class_id: 0, class_name: tabby}\n"
        "  - {class_id: 1, class_name: sea_lion}\n",
        "nested",
    ),
    "edge impulse.json": ('{"modelParameters": {"labels": ["tabby", "sea_lion", "T-shirt/top"]}}', "nested"),
    "via.json": (
        '{"_via_attributes": {"region": {"kind": {"type": "radio", "options": {"tabby": "", "sea_lion": "",'
        ' "T-shirt/top": ""}}}}}',
        "nested",
    ),
    "datumaro.json": (
        '{"categories": {"label": {"labels": [{"name": "tabby"}, {"name": "sea_lion"}, {"name": "T-shirt/top"}]}}}',
        "nested",
    ),
    "labelbox.json": ('{"tools": [{"name": "tabby"}, {"name": "sea_lion"}, {"name": "T-shirt/top"}]}', "nested"),
    "fields.json": (  # FiftyOne, two fields with the same classes
        '{"classes": {"a": ["tabby", "sea_lion", "T-shirt/top"], "b": ["tabby", "sea_lion", "T-shirt/top"]}}',
        "nested",
    ),
    "label_map.json": ('{"label_map": {"sea_lion": 1, "tabby": 0, "T-shirt/top": 2}}', "nested"),
}


def write(path, text):
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_recognised_by_its_content(name, tmp_path):
    text, form = FILES[name]
    classes = read_classes(write(tmp_path / name, text))
    assert (classes.ids, classes.names) == (PETS, SHOWN)
    assert classes.form == FORMS[form].title
    assert read_classes(classes.source, form=form) == classes


def test_darknets_obj_data_leads_to_its_names(tmp_path):
    write(tmp_path / "obj.names", "tabby\r\nsea_lion\r\nT-shirt/top\r\n")
    classes = read_classes(write(tmp_path / "obj.data", "classes = 3\ntrain = t.txt\nnames = data/obj.names\n"))
    assert (classes.ids, classes.form) == (PETS, FORMS["darknet"].title)
    with pytest.raises(FormatError, match=r"gone\.names"):
        read_classes(write(tmp_path / "other.data", "classes = 3\ntrain = t.txt\nnames = gone.names\n"))


def test_every_form_is_read_by_some_file_of_these_tests():
    others = {"hierarchy", "grouped", "id-to-name", "synsets", "darknet"}  # have tests of their own
    assert {form for _, form in FILES.values()} | others == set(FORMS)


@pytest.mark.parametrize(
    ("name", "text", "rows"),
    [
        (
            "class-descriptions.csv",  # Open Images
            "/m/011k07,Tortoise\n/m/011q46kg,Container\n/m/012074,Magpie\n",
            [("/m/011k07", "Tortoise", ""), ("/m/011q46kg", "Container", ""), ("/m/012074", "Magpie", "")],
        ),
        (
            "class_labels_indices.csv",  # AudioSet
            'index,mid,display_name\n0,/m/09x0r,"Speech"\n2,/m/02zsn,"Female speech, woman speaking"\n'
            '1,/m/05zppz,"Male"\n',
            [("/m/09x0r", "Speech", ""), ("/m/05zppz", "Male", ""), ("/m/02zsn", "Female speech, woman speaking", "")],
        ),
        (
            "imagenet_class_index.json",  # Keras
            '{"0": ["n01440764", "tench"], "2": ["n01484850", "great_white_shark"], "1": ["n01443537", "goldfish"]}',
            [
                ("n01440764", "tench", "fresh"),
                ("n01443537", "goldfish", "small"),
                ("n01484850", "great white shark", "large"),
            ],
        ),
        (
            "synset_words.txt",  # Caffe
            "n01440764 tench, Tinca tinca\nn01443537 goldfish, Carassius auratus\n"
            "n01484850 great white shark, man-eater\n",
            [
                ("n01440764", "tench", "fresh"),
                ("n01443537", "goldfish", "small"),
                ("n01484850", "great white shark", "large"),
            ],
        ),
        (
            "wnids.json",
            '{"n01440764": "tench, Tinca tinca", "n01443537": "goldfish", "n01484850": "white shark"}',
            [
                ("n01440764", "tench", "fresh"),
                ("n01443537", "goldfish", "small"),
                ("n01484850", "white shark", "large"),
            ],
        ),
        (
            "classes.txt",  # CUB
            "1 001.Black_footed_Albatross\n2 002.Laysan_Albatross\n3 003.Sooty_Albatross\n",
            [
                ("001.Black_footed_Albatross", "Black footed Albatross", ""),
                ("002.Laysan_Albatross", "Laysan Albatross", ""),
                ("003.Sooty_Albatross", "Sooty Albatross", ""),
            ],
        ),
        (
            "categories_places365.txt",
            "/a/airfield 0\n/a/apartment_building/outdoor 1\n/w/wet_bar 2\n",
            [
                ("/a/airfield", "airfield", ""),
                ("/a/apartment_building/outdoor", "apartment building/outdoor", ""),
                ("/w/wet_bar", "wet bar", ""),
            ],
        ),
        (
            "objectInfo150.txt",  # ADE20K
            "Idx\tRatio\tName\n1\t0.2\twall\n2\t0.1\tbuilding;edifice\n3\t0.1\tdoor;double door\n",
            [("wall", "wall", ""), ("building;edifice", "building", ""), ("door;double door", "door", "")],
        ),
        (
            "lvis.json",
            '{"categories": [{"id": 2, "name": "mouse_(animal)", "synset": "mouse.n.01", "def": "a rodent"},'
            ' {"id": 1, "name": "aerosol_can", "def": "a dispenser"}, {"id": 3, "name": "bow-tie", "def": ""}]}',
            [
                ("aerosol_can", "aerosol can", "a disp"),
                ("mouse_(animal)", "mouse (animal)", "a rod"),
                ("bow-tie", "bow-tie", ""),
            ],
        ),
        (
            "coins.txt",  # amounts, not labels
            "1 cent\n2 cent\n1 euro\n",
            [("1 cent", "1 cent", ""), ("2 cent", "2 cent", ""), ("1 euro", "1 euro", "")],
        ),
        (
            "norway.yaml",  # words that YAML 1.1 takes for truth values, and numbers
            "names: [no, yes, 2012, null]\n",
            [("no", "no", ""), ("yes", "yes", ""), ("2012", "2012", ""), ("null", "null", "")],
        ),
    ],
)
def test_data_sets_keep_their_ids_order_and_definitions(name, text, rows, tmp_path):
    classes = read_classes(write(tmp_path / name, text))
    assert [*zip(classes.ids, classes.names, strict=True)] == [row[:2] for row in rows]
    for found, row in zip(classes.definitions, rows, strict=True):
        assert found.startswith(row[2]) and bool(found) == bool(row[2])


GROUPED = (("tabby", "cats", "pets"), ("carp", "", "fish"), ("trout", "", "fish"))


@pytest.mark.parametrize(
    ("name", "text", "groups"),
    [
        ("groups.json", '{"pets": {"cats": ["tabby"]}, "fish": ["carp", "trout"]}', True),
        ("superclasses.yaml", "pets: [tabby]\nfish: [carp, trout]\n", False),
        ("map.json", '{"tabby": "pets", "carp": "fish", "trout": "fish", "eel": "fish"}', False),
        (
            "coco.json",
            '[{"id": 1, "name": "tabby", "supercategory": "pets"}, {"id": 2, "name": "carp", "supercategory": "fish"},'
            ' {"id": 3, "name": "trout", "supercategory": "fish"}]',
            False,
        ),
        ("table.csv", "name,superclass,group\ntabby,pets,cats\ncarp,fish,\ntrout,fish,\n", True),
        (
            "taxonomy.xml",
            '<View><Taxonomy name="t"><Choice value="pets"><Choice value="cats"><Choice value="tabby"/></Choice>'
            "</Choice>"
            '<Choice value="fish"><Choice value="carp"/><Choice value="trout"/></Choice></Taxonomy></View>',
            True,
        ),
        (
            "ontology.json",
            '[{"id": "/m/1", "name": "pets", "child_ids": ["/m/2"], "restrictions": ["abstract"]},'
            '{"id": "/m/2", "name": "cats", "child_ids": ["/m/3"], "restrictions": ["abstract"]},'
            '{"id": "/m/3", "name": "tabby", "child_ids": []},'
            '{"id": "/m/4", "name": "fish", "child_ids": ["/m/5", "/m/6"], "restrictions": ["abstract"]},'
            '{"id": "/m/5", "name": "carp", "child_ids": []}, {"id": "/m/6", "name": "trout", "child_ids": []}]',
            True,
        ),
    ],
)
def test_groups_of_a_file_are_kept(name, text, groups, tmp_path):
    classes = read_classes(write(tmp_path / name, text))
    assert classes.names[:3] == ("tabby", "carp", "trout")
    assert classes.places[:3] == tuple((superclass, group if groups else "") for _, group, superclass in GROUPED)


def test_groups_that_separate_nothing_are_none(tmp_path):
    rows = [{"name": name, "supercategory": "none"} for name in PETS]
    assert read_classes(write(tmp_path / "roboflow.json", json.dumps(rows))).places == ()


def test_a_hierarchy_is_a_source_with_all_groups(tmp_path):
    from hierarchy import load

    classes = read_classes("data/cifar100.json")
    assert classes.ids == load("cifar100").classes and classes.places == load("cifar100").groups


def test_the_folder_of_a_model_is_a_source(tmp_path):
    write(tmp_path / "config.json", FILES["timm.json"][0])
    write(tmp_path / "model.safetensors", b"\0")
    assert read_classes(str(tmp_path)).ids == PETS


def test_a_file_that_exists_is_never_asked_for_on_the_hub(tmp_path, monkeypatch):
    def fail(source):
        raise AssertionError(source)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hierarchy.sources.dataset.read_hub", fail)
    (tmp_path / "lists").mkdir()
    write(tmp_path / "lists" / "coco", "tabby\nsea_lion\nT-shirt/top\n")
    assert read_classes("lists/coco").ids == PETS
    with pytest.raises(
        SourceError, match=r"no such file or folder: 'lists/coca'; nearest: 'coco'; write datasets:lists"
    ):
        read_classes("lists/coca")
    with pytest.raises(FormatError, match=r"no such file: 'lists/pets.names'"):
        read_classes("lists/pets.names")


ODD = Hierarchy.from_rows(
    [
        ("n2", "crane", "birds & beasts", "a/b"),
        ("T-shirt/top", "T-shirt/top", "clothes", '"tops"'),
        ('the "big" one', "<big>", "clothes", '"tops"'),
        ("no", "no", "birds & beasts", "waders"),
        ("2012", "2012", "clothes", "years"),
        ("Löwe 🦁", "Löwe", "birds & beasts", "waders"),
    ]
)


@pytest.mark.parametrize("form", WRITERS)
def test_what_other_tools_read_is_read_back(form, tmp_path):
    classes = read_classes(write(tmp_path / ("labels.yaml" if form == "yolo" else "labels"), write_labels(ODD, form)))
    order = [classes.ids.index(id) for id in ODD.classes]
    assert order == list(range(6)) or form == "label-studio"  # a tree has an order of its own
    if form in ("label-studio", "coco"):
        assert [classes.places[label] for label in order] == list(ODD.groups)
    if form == "label-studio":
        assert [classes.names[label] for label in order] == list(ODD.names)


def test_labels_in_an_unknown_form_are_refused():
    with pytest.raises(SourceError, match=r"unknown format 'yol'; nearest: 'yolo'; use one of label-studio, fiftyone"):
        write_labels(ODD, "yol")


# What is refused


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "two.yaml",
            "names: [a, b, c]\nclasses: [d, e, f]\n",
            "two.yaml can be read as `names` of a YOLO data.yaml (3 classes: 'a', 'b', ...) or as a"
            " list of class names under a usual key (3 classes: 'd', 'e', ...)",
        ),
        (
            "numbers.txt",
            "0 1\n1 2\n2 0\n",
            "numbers.txt can be read as lines of a number and a name (3 classes: '1', '2', ...) or as lines"
            " of a name and a number",
        ),
        (
            "bomb.yaml",
            "a: &a [x, x]\nb: &b [*a, *a]\nnames: [*b, *b]\n",
            "bomb.yaml:2: alias *a repeats another part of the file; write it out",
        ),
        ("deep.yaml", "[" * 100_000, "deep.yaml:1: nested too deeply"),
        ("deep.json", "[" * 100_000, "deep.json is nested too deeply"),
        (
            "tag.yaml",
            "names: !!python/object/apply:os.system [ls]\n",
            "tag.yaml has one class; a hierarchy needs at least 3",
        ),
        ("twice.yaml", "names:\n  0: a\n  1: b\n  1: c\n", "twice.yaml:4: key '1' occurs twice; remove one"),
        ("twice.json", '{"a": 0,\n"b": 1,\n"a": 2}', "twice.json:3: key 'a' occurs twice; remove one"),
        ("index.json", '{"a": 0,\n"b": 1,\n"c": 1}', "index.json:3: index 1 of 'c' is already that of 'b' at"),
        ("again.txt", "0 tabby\n1 carp\n1 trout\n", "again.txt:3: index 1 of 'trout' is already that of 'carp' at"),
        ("id.json", '["tabby",\n"carp",\n"tabby"]', "id.json:3: duplicate id 'tabby', first used at"),
        ("case.txt", "Tabby\ncarp\ntabby\n", "case.txt:3: id 'tabby' differs from 'Tabby' at"),
        ("accent.txt", "Löwe\nLowe\ncarp\n", "accent.txt:2: id 'Lowe' differs from 'Löwe' at"),
        ("model.pkl", "a\nb\nc\n", "may be a pickle, which can run code and is never read"),
        ("names.txt", b"\x80\x04\x95abc", "may be a pickle, which can run code and is never read"),
        ("photo.txt", b"\x89PNG\r\n\x1a\n\0\0", "is not a text file"),
        ("half.json", '["tabby",\n"ca', "half.json:2: not JSON"),
        ("xml.xml", "<View><Choices>", "xml.xml: not XML"),
        (
            "entities.xml",
            '<!DOCTYPE x [<!ENTITY a "b">]><View>&a;</View>',
            "entities.xml declares a document type or entities",
        ),
        (
            "two.xml",
            '<View><Choices name="a"><Choice value="x"/></Choices><Labels name="b"><Label value="y"/></Labels></View>',
            "two.xml has several lists of labels: Choices 'a', Labels 'b'; keep one",
        ),
        (
            "other.json",
            '{"images": [1, 2]}',
            "other.json has no class names in a known form; use one of hierarchy, yolo",
        ),
        ("nc.yaml", "nc: 80\nnames: [a, b, c]\n", "nc.yaml: `nc` is 80, but `names` has 3; correct one of them"),
        (
            "labels.json",
            '{"id2label": {"0": "a", "1": "b", "2": "c"}, "label2id": {"a": 0, "b": 2, "c": 1}}',
            "labels.json: `id2label` and `label2id` disagree; remove the one that is wrong",
        ),
        (
            "cifar.json",
            '{"default": {"features": {"fine": {"names": ["a", "b", "c"]}, "coarse": {"names": ["d", "e"]}}}}',
            "cifar.json has class names in 'default.features.fine.names' (3) and 'default.features.coarse.names' (2)",
        ),
        ("ragged.csv", "id,name\na,b\nc\n", "ragged.csv:3: the row and the header differ in length"),
    ],
)
def test_bad_files_are_refused_with_their_line(name, text, message, tmp_path):
    with pytest.raises(HierarchyError) as caught:
        read_classes(write(tmp_path / name, text))
    assert message in str(caught.value)


def test_letters_of_both_cases_are_classes(tmp_path):
    assert read_classes(write(tmp_path / "emnist.txt", "A\na\nÄ\n")).ids == ("A", "a", "Ä")


def test_a_huge_file_is_refused_before_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "instances_train.json"
    with path.open("wb") as file:
        file.truncate(1 << 30)  # a gigabyte that takes no room
    monkeypatch.setattr(content_module, "read_text", None)
    with pytest.raises(SourceError, match=r"has 1,024 MiB, but a list of classes has at most 64; take the class names"):
        read_classes(str(path))


def test_a_format_can_be_forced(tmp_path):
    source = write(tmp_path / "two.yaml", "names: [a, b, c]\nclasses: [d, e, f]\n")
    assert read_classes(source, form="named-list").ids == ("d", "e", "f")
    with pytest.raises(SourceError, match=r"two.yaml is not `categories` of a COCO file; leave out --format"):
        read_classes(source, form="coco")
    with pytest.raises(SourceError, match=r"unknown format 'yol'; nearest: 'yolo'; use one of hierarchy, yolo"):
        read_classes(source, form="yol")
    assert read_classes(write(tmp_path / "n.txt", "0 a\n1 b\n2 c"), form="names").ids == ("0 a", "1 b", "2 c")
