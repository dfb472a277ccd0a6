"""`generate --propose openai` as a person meets it: over real HTTP, with consent, limits, votes and an explanation."""

from __future__ import annotations

import json
import sys

import pytest
from support.brain import Brain
from support.openai_server import Server

from hierarchy import Hierarchy, load, save
from hierarchy.cli.console import run
from hierarchy.cli.main import app
from hierarchy.io import read
from hierarchy.llm import ReplyCache
from hierarchy.prompting import load_prompt
from hierarchy.proposal import read_proposal
from hierarchy.review import Paths, hold_lock

TREE = Hierarchy.from_rows(
    [
        ("beagle", "beagle", "mammals", "dogs"),
        ("collie", "collie", "mammals", "dogs"),
        ("tabby", "tabby", "mammals", "cats"),
        ("siamese cat", "siamese cat", "mammals", "cats"),
        ("carp", "carp", "fish", "freshwater fish"),
        ("trout", "trout", "fish", "freshwater fish"),
        ("tuna", "tuna", "fish", "sea fish"),
        ("cod", "cod", "fish", "sea fish"),
    ]
)


@pytest.fixture
def server():
    with Server(Brain(TREE)) as server:
        yield server


@pytest.fixture
def ask(server, tmp_path, monkeypatch, capsys):
    """Runs a `hierarchy` command; gives exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    (tmp_path / "pets.txt").write_text("\n".join(TREE.classes) + "\n")

    def command(*words):
        monkeypatch.setattr(sys, "argv", ["hierarchy", *words])
        code = run(app)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


@pytest.fixture
def propose(ask, server):
    """Runs `generate --propose openai` on the pets with further flags."""
    flags = (
        "--propose",
        "openai",
        "--embed",
        "tfidf",
        "--model",
        "m",
        "--base-url",
        server.url,
        "--superclasses",
        "2",
        "--groups",
        "4",
    )
    return lambda *more: ask("generate", "pets.txt", *flags, *more)


def calls(server):
    return server.counts["http"].get("/chat/completions", 0)


def test_a_model_proposes_and_all_of_it_is_written_down(propose, server, tmp_path):
    code, out, err = propose("--yes")
    assert code == 0 and out.startswith("pets.json: 2 superclasses, 4 groups, 8 classes\n")
    assert " calls (at most " in err and "pass --price to estimate the cost" in err
    assert load(tmp_path / "pets.json") == TREE
    spent = server.counts["input_tokens"] + server.counts["output_tokens"]
    assert f"pets.replies.sqlite: 7 replies from m, {spent:,} tokens in all runs" in err
    provenance = read(tmp_path / "pets.json").provenance
    assert provenance["proposed_by"] == "the model m, by prompts (hierarchy.generate)"
    assert provenance["reviewed_by"] is None and provenance["requests"] == calls(server) == 7
    assert provenance["prompts"]["assign"] == load_prompt("assign").digest
    assert "--propose openai --model m --superclasses 2 --groups 4" in provenance["command"]
    assert server.url not in (tmp_path / "pets.json").read_text()
    held = read_proposal(tmp_path / "pets.proposal.json")
    assert held.hierarchy() == TREE and len(held.replies["cod"]) >= 4
    assert "llm" in {vote.witness for vote in held.votes["cod"]}
    assert held.votes["cod"][0].why == "3 of 3 votes"
    assert ReplyCache(tmp_path / "pets.replies.sqlite").count() == 7


def test_run_again_it_asks_nothing_and_gives_the_same_bytes(propose, server, tmp_path):
    propose("--yes")
    files = {path.name: path.read_bytes() for path in tmp_path.glob("*.json")}
    before = calls(server)
    assert propose("--yes")[0] == 0
    assert calls(server) == before
    assert files == {path.name: path.read_bytes() for path in tmp_path.glob("*.json")}


def test_replies_of_another_server_are_used_and_reported(propose, server, tmp_path):
    told = "pets.replies.sqlite: 8 replies from e and 7 replies from m came from another server and answer equal"
    propose("--embed", "openai:e", "--yes")
    assert told not in propose("--embed", "openai:e", "--yes")[2]
    made, before = (tmp_path / "pets.json").read_bytes(), dict(server.counts["http"])
    with Server(Brain(TREE)) as other:
        code, _, err = propose("--embed", "openai:e", "--yes", "--base-url", other.url)
        assert (code, err.count(told)) == (0, 1)
        assert not other.counts["http"] and server.counts["http"] == before
        assert (tmp_path / "pets.json").read_bytes() == made
        assert "another server" not in propose("--model", "n", "--yes", "--base-url", other.url)[2]


def test_a_dry_run_says_what_it_will_take_and_spends_nothing(propose, server, tmp_path):
    code, out, _ = propose("--dry-run", "--price", "2:8")
    assert code == 0 and calls(server) == 0 and [path.name for path in tmp_path.iterdir()] == ["pets.txt"]
    assert "calls (at most" in out and "$0.0" in out and "1 superclasses, 3 assign, " in out
    assert "[system]\nYou design the top level" in out and "\n5. carp" in out
    code, out, _ = propose("--dry-run", "--json")
    found = json.loads(out)
    assert found["calls"] == sum(found["prompts"].values()) and found["cost"] is None
    assert found["first_prompt"][1][0] == "user" and found["most_tokens"] > found["tokens"]


def test_nothing_is_spent_without_consent(propose, server):
    code, _, err = propose()
    assert code == 2 and calls(server) == 0
    assert "refusing to spend money without confirmation (stdin is not a terminal); pass --yes, --max-cost or" in err


def test_a_limit_of_calls_stops_cleanly_and_the_next_run_goes_on(propose, server, tmp_path):
    code, _, err = propose("--max-calls", "2")
    assert code == 2 and calls(server) == 2 and not (tmp_path / "pets.json").exists()
    assert "reached --max-calls 2" in err and "run again to continue; 2 replies are in pets.replies.sqlite" in err
    assert propose("--max-calls", "100")[0] == 0
    assert calls(server) == 7 and load(tmp_path / "pets.json") == TREE


def test_a_limit_of_dollars_needs_a_price(propose, server):
    code, _, err = propose("--max-cost", "1")
    assert code == 2 and calls(server) == 0 and "--max-cost needs the price of the model; pass --price" in err
    assert propose("--max-cost", "0.0001", "--price", "2:8")[0] == 2 and calls(server) == 0
    assert propose("--max-cost", "1", "--price", "2:8")[0] == 0


def test_what_is_unsettled_is_listed_and_can_be_placed_by_hand(ask, server, tmp_path):
    class Doubtful(Brain):
        def assign(self, text):
            return self.without_cod(super().assign(text))

        def again(self, text):
            return self.without_cod(super().again(text))

        def without_cod(self, content):
            return {"placements": [{**p, "node": p["node"] * (p["id"] != 8)} for p in content["placements"]]}

    (tmp_path / "pets.json").write_text("of an earlier run")
    server.brain = Doubtful(TREE)
    flags = ("--propose", "openai", "--model", "m", "--base-url", server.url, "--superclasses", "2", "--yes")
    code, _, err = ask("generate", "pets.txt", *flags)
    assert code == 1 and not (tmp_path / "pets.json").exists()
    assert (tmp_path / "pets.before.json").read_text() == "of an earlier run"
    assert (
        "unsettled: 'cod' (cod): the model says that it fits nowhere" in err
        and "place them with `hierarchy review pets.json`" in err
    )
    for file in ("pets.json", "pets.proposal.json"):  # the settled rest can be looked at meanwhile
        code, out, _ = ask("show", file)
        assert code == 0 and out.startswith("2 superclasses, ") and out.endswith("unsettled (1): cod\n")
    save(TREE, tmp_path / "wanted.json")
    assert "7 of 7 classes covered" in ask("score", "pets.json", "wanted.json")[1]
    assert ask("report", "pets.json")[0] == 0 and "beagle" in (tmp_path / "hierarchy.html").read_text()
    code, out, _ = ask("check", "pets.json")
    assert (
        code == 1 and out.startswith("error   missing        'cod' (cod) is not placed\n") and len(out.splitlines()) > 1
    )
    assert "group       unsettled" in ask("explain", "pets.json", "cod")[1]
    assert ask("edit", "pets.json", "move", "cod", "fish/sea fish", "--by", "Ada")[0] == 0
    assert load(tmp_path / "pets.json") == TREE
    assert read(tmp_path / "pets.json").provenance["reviewed_by"] == ["Ada"]


def test_what_is_unsettled_can_be_left_out(ask, server, tmp_path):
    class Doubtful(Brain):
        def assign(self, text):
            content = super().assign(text)
            return {"placements": [{**p, "node": p["node"] * (p["id"] != 8)} for p in content["placements"]]}

        def again(self, text):
            return {"placements": [{"id": 8, "node": 0}]}

    server.brain = Doubtful(TREE)
    flags = ("--propose", "openai", "--model", "m", "--base-url", server.url, "--superclasses", "2", "--yes")
    code, out, err = ask("generate", "pets.txt", *flags, "--drop-unsettled")
    assert code == 0 and out.startswith("pets.json: 2 superclasses, 4 groups, 7 classes\n")
    assert "left out: 'cod': the model says that it fits nowhere" in err and "review" not in err
    assert load(tmp_path / "pets.json") == TREE.subset(*[id for id in TREE.classes if id != "cod"])
    provenance = read(tmp_path / "pets.json").provenance
    assert provenance["dropped"] == {"cod": "the model says that it fits nowhere"}
    assert "--drop-unsettled" in provenance["command"]
    held = read_proposal(tmp_path / "pets.proposal.json")
    assert not held.unsettled and "cod" not in held.classes.ids  # so that a review fits the hierarchy
    assert ask("edit", "pets.json", "rename", "fish", "fishes", "--by", "Ada")[0] == 0


def test_a_run_in_which_nothing_is_settled_lists_every_class(ask, server, tmp_path):
    class Liar(Brain):
        def assign(self, text):
            return {"placements": [{"id": 9_999, "node": 77}]}

    server.brain = Liar(TREE)
    flags = ("--propose", "openai", "--model", "m", "--base-url", server.url, "--superclasses", "2", "--yes")
    code, out, err = ask("generate", "pets.txt", *flags)
    assert code == 1 and out.startswith("pets.proposal.json: 0 superclasses, 0 groups, 0 classes")
    assert all(f"unsettled: {id!r} ({id}): no usable answer" in err for id in TREE.classes)
    assert "8 classes are unsettled" in err and "problems with replies, all handled or listed: " in err
    assert read_proposal(tmp_path / "pets.proposal.json").unsettled == TREE.classes
    code, _, err = ask("show", "pets.json")
    assert code == 2 and "no class of 'pets.json' has a place yet; place some with `hierarchy review pets.json`" in err


def test_a_dry_run_asks_no_embedding_server_either(propose, server):
    beside = "in addition, and without a limit, vectors are requested from --embed openai:e\n"
    code, _, err = propose("--dry-run", "--embed", "openai:e")
    assert code == 0 and err.endswith(beside)
    code, _, err = propose("--embed", "openai:e")
    assert code == 2 and beside in err  # no consent
    assert not server.counts["http"]
    code, _, err = propose("--embed", "tfidf+openai:e", "--yes")
    assert code == 0 and err.count(beside) == 1
    assert server.counts["http"]["/embeddings"] == 1
    assert "without a limit" not in propose("--dry-run")[2]


def test_the_path_of_the_source_is_not_sent(propose, ask, server, tmp_path):
    propose("--yes")
    before = calls(server)
    flags = ("--propose", "openai", "--model", "m", "--base-url", server.url, "--superclasses", "2", "--groups", "4")
    assert ask("generate", str(tmp_path / "pets.txt"), *flags, "--yes", "--out", "pets.json")[0] == 0
    assert calls(server) == before
    assert not any(str(tmp_path) in json.dumps(body) for body in server.bodies)


def test_explain_shows_questions_and_answers(propose, ask):
    propose("--yes")
    code, out, _ = ask("explain", "pets.json", "cod")
    lines = out.splitlines()
    assert code == 0 and lines[0].startswith("cod (cod): ")
    assert lines[1] == "  group       fish/sea fish  (with tuna)"
    assert any(line.startswith("  llm            fish/sea fish  1.00  3 of 3 votes") for line in lines)
    assert any(" > fish > " in line for line in lines if line.startswith("  hypernyms"))
    replies = [line for line in lines if line.startswith("  assign")]
    assert len(replies) == 3 and all(line.endswith("(fish)") for line in replies)
    assert any(line.startswith("  groups") and line.endswith("m: 'sea fish'") for line in lines)
    full = ask("explain", "pets.json", "cod", "--full")[1]
    assert "[system]\nYou sort the classes" in full and '[reply]\n{"placements"' in full
    found = json.loads(ask("explain", "pets.json", "cod", "--json")[1])
    assert found["group"] == "fish/sea fish" and len(found["exchanges"]) == 4


def test_explain_shows_what_a_reviewer_decided(propose, ask):
    propose("--yes")
    ask("edit", "pets.json", "move", "cod", "fish/freshwater fish", "--by", "Ada")
    out = ask("explain", "pets.json", "cod")[1]
    assert "group       fish/freshwater fish" in out and "proposed    fish/sea fish" in out
    assert "llm         != fish/sea fish" in out and "Ada: move cod to fish/freshwater fish" in out


def test_explain_counts_decisions_once_without_a_proposal(propose, ask, tmp_path):
    propose("--yes")
    ask("edit", "pets.json", "move", "cod", "fish/freshwater fish", "--by", "Ada")
    ask("edit", "pets.json", "rename", "fish", "fishes", "--by", "Ada")
    (tmp_path / "pets.proposal.json").unlink()
    code, out, _ = ask("explain", "pets.json", "cod")
    assert code == 0 and "group       fishes/freshwater fish" in out and "Ada: move cod to fish/freshwater fish" in out


def test_replies_and_decisions_are_next_to_the_target_of_a_link(propose, ask, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link.json").symlink_to("elsewhere/tree.json")
    assert propose("--yes", "--out", "link.json")[0] == 0
    assert (tmp_path / "elsewhere" / "tree.replies.sqlite").exists()
    assert ask("edit", "link.json", "move", "cod", "fish/freshwater fish", "--by", "Ada")[0] == 0
    assert [path.name for path in tmp_path.glob("link*")] == ["link.json"]
    out = ask("explain", "link.json", "cod")[1]
    assert "m: 'sea fish'" in out and "Ada: move cod to fish/freshwater fish" in out
    assert out == ask("explain", "elsewhere/tree.json", "cod")[1]


def test_a_review_that_begins_during_the_calls_is_not_overwritten_and_keeps_all_answers(propose, server, tmp_path):
    lock = hold_lock(Paths.of(tmp_path / "pets.json"), "Ada")

    class Reviewed(Brain):
        def propose(self, text):
            lock.__enter__()
            return super().propose(text)

    (tmp_path / "pets.json").write_text("under review")
    server.brain = Reviewed(TREE)
    code, out, err = propose("--yes")
    assert (code, out) == (2, "") and calls(server) == 7
    assert "'pets.json' is being reviewed by Ada (process " in err
    assert "; then run again: all replies are in 'pets.replies.sqlite'\n" in err
    assert (tmp_path / "pets.json").read_text() == "under review" and not (tmp_path / "pets.proposal.json").exists()
    lock.__exit__(None, None, None)
    (tmp_path / "pets.decisions.jsonl").touch()
    code, out, err = propose("--yes")
    assert (code, out) == (2, "") and "choose another name (copy 'pets.replies.sqlite' to it so that" in err
    (tmp_path / "pets.decisions.jsonl").unlink()
    assert propose("--yes")[0] == 0 and calls(server) == 7
    assert load(tmp_path / "pets.json") == TREE and not (tmp_path / "pets.lock").exists()


def test_explain_finds_classes_by_name_and_refuses_nodes(propose, ask):
    propose("--yes")
    assert ask("explain", "pets.json", "fish/sea fish/cod")[0] == 0
    assert "'fish' is a node of 4 classes; name one of them" in ask("explain", "pets.json", "fish")[2]
    assert "no class or node 'codd'; nearest: 'cod'" in ask("explain", "pets.json", "codd")[2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--propose", "gpt"], "unknown --propose 'gpt'; use openai"),
        (["--dry-run"], "--dry-run needs a language model that proposes; add --propose openai"),
        (["--propose", "openai", "--classes-per-group", "2:5"], "a language model does not keep to node sizes"),
        (["--propose", "openai", "--price", "cheap"], "--price 'cheap' is not INPUT:OUTPUT"),
        (["--propose", "openai", "--votes", "0"], "invalid value for '--votes'"),
        (["--propose", "openai", "--yes"], "no API key: set OPENAI_API_KEY"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(ask, server, words, message):
    code, out, err = ask("generate", "pets.txt", *words)
    assert code == 2 and out == "" and message in err.replace("\n", " ") and calls(server) == 0


FLAGS_OF_A_MODEL = {
    "--model": ["gpt-4.1"],  # the default, too, if it is given
    "--votes": ["3"],
    "--temperature": ["0.3"],
    "--reply-tokens": ["9"],
    "--price": ["1:2"],
    "--max-calls": ["3"],
    "--max-cost": ["2"],
    "--concurrency": ["8"],
    "--timeout": ["600"],
    "--ask-again": [],
    "--drop-unsettled": [],
    "--dry-run": [],
    "--yes": [],
}


@pytest.mark.parametrize("flag", [*FLAGS_OF_A_MODEL, "--base-url"])
def test_flags_of_a_model_are_refused_where_none_proposes(ask, server, tmp_path, flag):
    code, out, err = ask("generate", "pets.txt", flag, *FLAGS_OF_A_MODEL.get(flag, [server.url]))
    assert (code, out) == (2, "") and f"{flag} needs a language model that proposes; add --propose openai" in err
    assert [path.name for path in tmp_path.iterdir()] == ["pets.txt"]


def test_the_refusal_lists_all_flags_about_a_model_and_says_that_embeddings_have_no_limit(ask, server, tmp_path):
    every = [word for flag, values in FLAGS_OF_A_MODEL.items() for word in (flag, *values)]
    err = ask("generate", "pets.txt", *every)[2]
    assert (
        f"{', '.join([*FLAGS_OF_A_MODEL][:-1])} and --yes need a language model that proposes; add --propose openai"
        in err
    )
    err = ask("generate", "pets.txt", "--embed", "openai:e", "--base-url", server.url, "--max-cost", "2")[2]
    assert (
        "--max-cost needs a language model that proposes (--embed openai:e has no limit); add --propose openai" in err
    )
    assert not server.counts["http"]


def test_ask_again_asks_for_every_reply_once_more(propose, server, tmp_path):
    propose("--yes")
    assert propose("--yes", "--ask-again")[0] == 0
    assert calls(server) == 14 and ReplyCache(tmp_path / "pets.replies.sqlite").count() == 7
    assert load(tmp_path / "pets.json") == TREE
