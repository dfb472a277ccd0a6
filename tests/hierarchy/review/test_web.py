"""The review in the browser: its protocol over real HTTP, who is refused, and (slow) the page itself in Chromium."""

import base64
import http.client
import io
import json
import os
import re
import shutil
import socket
import threading
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from PIL import Image
from support.reviewing import ZOO, zoo

from hierarchy.checks import render_report
from hierarchy.errors import SourceError
from hierarchy.review.log import log_to_text
from hierarchy.review.state import replay
from hierarchy.review.ui import run_in_browser
from hierarchy.review.ui.actions import KEYS
from hierarchy.sources import embed_pictures, find_pictures


class Page:
    """A running review, as a page sees it."""

    def __init__(self, address):
        self.address = address
        self.host, self.port, self.token = re.fullmatch(r"http://(127\.0\.0\.1):(\d+)/\?token=(.+)", address).groups()

    def request(self, method, path, body=None, *, token=None, headers=(), host=None):
        """The status, headers and body of a response."""
        connection = http.client.HTTPConnection(self.host, int(self.port), timeout=20)
        given = self.token if token is None else token
        query = f"{'&' if '?' in path else '?'}token={given}" if given else ""
        sent = {"Host": host or f"{self.host}:{self.port}", **dict(headers)}
        if body is not None:
            sent.setdefault("content-type", "application/json")
        connection.request(method, path + query, body, sent)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return response.status, response.headers, content

    def get(self, path):
        status, _, content = self.request("GET", path)
        assert status == 200, content
        return json.loads(content)

    def press(self, key, **more):
        status, _, content = self.request("POST", "/decide", json.dumps({"key": key, **more}))
        assert status == 200, content
        return json.loads(content)


@contextmanager
def served(session, pictures=None):
    """The page of a session, which is closed at the end."""
    addresses = []
    ready = threading.Event()
    opened = lambda address: (addresses.append(address), ready.set())  # noqa: E731
    thread = threading.Thread(
        target=run_in_browser,
        args=(session,),
        kwargs={"title": "zoo.json", "pictures": pictures or {}, "opened": opened},
    )
    thread.start()
    assert ready.wait(20)
    page = Page(addresses[0])
    try:
        yield page
    finally:
        if thread.is_alive():
            assert page.press("q") == {"quit": True}
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture
def photos(tmp_path):
    """Three images of three classes, named by id, by name and by name with underscores; one cannot be read."""
    for folder, colour in (("n01", "red"), ("tiger", "green"), ("sea_snake", "blue"), ("dodo", "grey")):
        (tmp_path / "train" / folder).mkdir(parents=True)
        for number in range(5):
            Image.new("RGBA", (400, 300), colour).save(tmp_path / "train" / folder / f"{number}.png")
    (tmp_path / "train" / "tiger" / "0.png").write_bytes(b"not an image")
    return tmp_path


def test_a_session_goes_as_in_the_other_faces_and_is_logged_alike():
    session, other = zoo(), zoo()
    with served(session) as page:
        start, state = page.get("/start"), page.get("/state")
        assert start["title"] == "zoo.json" and start["who"] == "Ada" and start["names"]["n09"] == "sea snake"
        assert {key for key, *_ in start["keys"]} == {"1-9", *(key.key for key in KEYS)} - {"e"}
        assert (state["question"], state["number"], state["of"]) == ("n04", 1, 6)
        assert state["unsettled"] == ["n04"]
        assert page.press("y")["said"] == "'tiger' is unsettled; move it into a group"
        assert page.press("m", text="mammals/big cats")["question"] == "n09"
        state = page.get("/state")
        assert state["votes"][0] == {"title": "LLM", "votes": [["≠ 0.67 reptiles/snakes", "2 of 3 votes"]]}
        assert state["suggestions"][0] == {
            "text": "move to reptiles/snakes",
            "node": "reptiles/snakes",
            "ids": ["n11", "n10"],
        }
        assert page.press("1")["said"] == "move 'sea snake' to reptiles/snakes"
        assert page.press("drop", subject="n12", to="fish/eels")["said"] == "move 'carp' to fish/eels"
        assert page.press("drop", subject="reptiles/snakes", to="mammals")["refused"] is False
        assert page.press("u")["said"].startswith("undid 3 decisions")
        assert page.press("/", text="n08")["question"] == "n08"
        assert page.press("p", text="long ones", ids=["n08"])["said"] == "split 1 class off fish/eels as long ones"
        page.press("/", text="n08")
        assert page.press("w", text="a long fish")["said"] == "'moray' means 'a long fish'"
        tree = page.get("/state")["tree"]
        assert [path for path, *_ in tree] == ["birds", "fish", "machines", "mammals", "reptiles"]
    other.edit(session.history.decisions[0].what)
    other.edit(session.history.decisions[1].what)
    assert log_to_text(other.log).splitlines()[1:3] == log_to_text(session.log).splitlines()[1:3]
    assert replay(session.log, session.base).proposal == session.proposal


def test_only_pages_of_this_server_with_the_token_are_answered():
    session = zoo()
    with served(session) as page:
        body, here = json.dumps({"key": "s"}), f"{page.host}:{page.port}"
        assert page.token not in str(page.request("GET", "/")[1:])  # the page does not repeat it
        for refused in (
            {"token": ""},
            {"token": "x"},
            {"token": page.token[:-1]},
            {"token": f"{page.token}&token=x"},
            {"host": "evil.example"},
            {"host": f"evil.example:{page.port}"},  # a name that an attacker lets resolve to 127.0.0.1
            {"host": "127.0.0.1"},
            {"headers": {"Origin": "http://evil.example"}},
            {"headers": {"Origin": "null"}},
        ):
            for method, path in (("GET", "/"), ("GET", "/state"), ("GET", "/image/0?id=n01"), ("POST", "/decide")):
                status, _, content = page.request(method, path, body if method == "POST" else None, **refused)
                assert (status, content[:8]) == (403, b"refused:"), (refused, path)
        status, *_ = page.request("POST", "/decide", body, headers={"content-type": "text/plain"})
        assert status == 403  # what a form of another page may send
        assert page.request("POST", "/decide", "x" * 300_000)[0] == 403
        assert page.request("POST", "/decide", "[" * 100_000)[0] == 400
        assert page.request("POST", "/decide", "[]")[0] == 400
        assert page.request("GET", "/nothing")[0] == 404 and page.request("PUT", "/decide", body)[0] == 405
        assert page.get("/state")["question"] == "n04" and not session._skipped  # nothing was done
        ok, headers, content = page.request("GET", "/", headers={"Origin": f"http://{here}"})
        assert ok == 200 and b"{{" not in content
        assert headers["referrer-policy"] == "no-referrer" and headers["x-frame-options"] == "DENY"
        (nonce,) = set(re.findall(rb'nonce="([^"]+)"', content))
        assert f"script-src 'nonce-{nonce.decode()}'" in headers["content-security-policy"]
        assert "default-src 'none'" in headers["content-security-policy"]
        assert not re.findall(rb"https?://", content)  # nothing is loaded from elsewhere


def test_it_listens_on_the_loopback_address_only():
    with served(zoo()) as page, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing; names the address by which this machine is reached
        outside = probe.getsockname()[0]
        assert outside != "127.0.0.1"
        with pytest.raises(OSError):
            socket.create_connection((outside, int(page.port)), timeout=2)


def test_bad_requests_change_nothing():
    session = zoo()
    with served(session) as page:
        for key, more in (
            ("e", {}),
            ("x", {}),
            ("", {}),
            (7, {}),
            ("m", {"text": 5}),
            ("p", {"text": "x", "ids": "n01"}),
            ("drop", {"subject": "n01", "to": ""}),
            ("drop", {"subject": "fish", "to": "mammals"}),
            ("drop", {"subject": "n99", "to": "fish/eels"}),
            ("/", {"text": "<script>"}),
        ):
            assert page.press(key, **more)["refused"] is True, (key, more)
        page.press("/", text="fish")
        assert page.get("/senses") == {"refused": "'fish' is a node; only a class has a meaning to choose"}
    assert not session.log.decisions


def test_three_images_of_each_class_are_served_and_what_is_no_image_is_not(photos):
    session = zoo()
    pictures = find_pictures(photos, session.proposal.index, session.proposal.classes.ids)
    assert {id: [path.name for path in paths] for id, paths in pictures.items()} == {
        "n01": ["0.png", "2.png", "4.png"],
        "n04": ["0.png", "2.png", "4.png"],
        "n09": ["0.png", "2.png", "4.png"],
    }
    with served(session, pictures) as page:
        assert page.get("/start")["images"] == {"n01": 3, "n04": 3, "n09": 3}
        status, headers, content = page.request("GET", "/image/1?id=n04")
        assert (status, headers["content-type"], content[:2]) == (200, "image/jpeg", b"\xff\xd8")
        for path in ("/image/0?id=n04", "/image/3?id=n01", "/image/0?id=n12", f"/image/0?id={quote('../../x')}"):
            assert page.request("GET", path)[0] == 404
        assert page.request("GET", "/image/-1?id=n01")[0] == 404


def test_a_folder_without_images_of_the_classes_is_refused(tmp_path):
    proposal = zoo().proposal
    with pytest.raises(SourceError, match=r"no folder of images '.*nowhere'; check the name"):
        find_pictures(tmp_path / "nowhere", proposal.index, proposal.classes.ids)
    (tmp_path / "dodo").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "dodo" / "1.jpg")
    with pytest.raises(
        SourceError, match=r"has no images of these classes .its folders with images: 'dodo'.; name one"
    ):
        find_pictures(tmp_path, proposal.index, proposal.classes.ids)


@pytest.mark.slow
def test_the_page_in_chromium(photos, tmp_path):
    """Keys, dialogs, dragging and undo as a person does them; SCREENSHOTS=FOLDER keeps what it looked like."""
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium; apt-get install chromium")
    kept = Path(os.environ.get("SCREENSHOTS", tmp_path))
    session = zoo()
    pictures = find_pictures(photos, session.proposal.index, session.proposal.classes.ids)

    def decided():
        return [str(decision.what) for decision in session.history.decisions]

    with served(session, pictures) as page, playwright.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1280, "height": 800})
        tab.set_default_timeout(120_000)
        faults, hosts = [], set()
        broken = "404 (Not Found)"  # one of the images cannot be read
        tab.on("console", lambda message: broken in message.text or faults.append(message.text))
        tab.on("pageerror", lambda error: faults.append(str(error)))
        tab.on("request", lambda request: hosts.add(request.url.split("/")[2]))

        def wait(name, said=""):
            tab.wait_for_function("([name]) => document.querySelector('h1')?.textContent.startsWith(name)", arg=[name])
            tab.wait_for_function("([said]) => document.querySelector('#said').textContent.includes(said)", arg=[said])

        tab.goto(page.address)
        wait("tiger")
        tab.keyboard.press("y")
        wait("tiger", "! 'tiger' is unsettled; move it into a group")
        tab.keyboard.press("m")
        tab.keyboard.type("big")
        tab.keyboard.press("Enter")
        wait("sea snake", "move 'tiger' to mammals/big cats")
        tab.screenshot(path=kept / "question.png")
        tab.keyboard.press("?")
        tab.wait_for_selector("#help[open]")
        assert "question 1 of 5" in tab.inner_text("#help")
        tab.screenshot(path=kept / "help.png")
        tab.keyboard.press("y")  # any key closes the help, and decides nothing
        tab.keyboard.press("w")
        tab.wait_for_selector("#ask[open]")
        tab.keyboard.type("zzz a snake")
        tab.keyboard.press("Enter")
        wait("sea snake", "'sea snake' means 'zzz a snake'")
        tab.locator("summary", has_text="reptiles").click()
        tab.drag_and_drop("[data-subject=n09]", ".group[data-drop='reptiles/snakes']")
        wait("tabby", "move 'sea snake' to reptiles/snakes")
        assert decided() == [
            "move n04 to mammals/big cats",
            "define n09 as 'zzz a snake'",
            "move n09 to reptiles/snakes",
        ]
        tab.drag_and_drop("[data-subject='reptiles/snakes']", "summary[data-drop=mammals]")
        wait("tabby", "3 edits")
        tab.screenshot(path=kept / "dragged.png")
        tab.keyboard.press("u")
        wait("tabby", "undid 3 decisions")
        tab.keyboard.press("p")
        tab.wait_for_selector("#ask[open]")
        for key in ("Space", "Enter"):
            tab.keyboard.press(key)
        tab.keyboard.type("cats of siam")
        tab.keyboard.press("Enter")
        wait("tabby", "split 1 class off mammals/cats as cats of siam")
        tab.keyboard.press("1")
        wait("crane", "move 'tabby' to mammals/big cats")
        tab.set_viewport_size({"width": 390, "height": 800})
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
        tab.screenshot(path=kept / "narrow.png")
        tab.keyboard.press("q")
        wait("The review is closed")
        browser.close()
        assert faults == [] and hosts == {page.address.split("/")[2]}
    assert replay(session.log, session.base).proposal == session.proposal


def test_thumbnails_go_into_a_report_and_never_exceed_their_limit(photos):
    hierarchy = ZOO
    pictures = find_pictures(photos, zoo().proposal.index, hierarchy.classes)
    embedded = embed_pictures(pictures)
    assert {id: len(found) for id, found in embedded.items()} == {"n01": 3, "n04": 2, "n09": 3}  # one cannot be read
    content = [base64.b64decode(found) for each in embedded.values() for found in each]
    assert all(image.startswith(b"\xff\xd8") for image in content)
    assert max(Image.open(io.BytesIO(image)).size for image in content) == (128, 96)
    few = embed_pictures(pictures, sum(map(len, content)) // 4)
    assert (
        0 < sum(len(base64.b64decode(found)) for each in few.values() for found in each) <= sum(map(len, content)) // 4
    )
    page = render_report(hierarchy, title="zoo", pictures=embedded)
    assert all(found in page for each in embedded.values() for found in each)
