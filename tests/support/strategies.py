"""Random hierarchies for property tests: any valid characters, repeated names, unbalanced shapes."""

from hypothesis import strategies as st

from hierarchy import Hierarchy
from hierarchy.names import name_fault

# Few letters, so that names often coincide; and characters that break files and shells.
_PLAIN = st.text("ab '", min_size=1, max_size=3)
_ODD = st.text("a\"',;:()[]{}<>&\\|#%=-_ .éß中̈\u00a0\u200d🦈👩", min_size=1, max_size=8)
_ANY = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=8)

_ANY_PART = st.one_of(_PLAIN, _ODD, _ANY).filter(lambda name: "/" not in name)
# What paths escape. A "/" in front, since no path begins with one: an id that is the path of a node is refused.
_SLASH = st.lists(st.sampled_from(["a", "/", "%", "25", "2F"]), max_size=3).map(lambda parts: "/" + "".join(parts))

names = st.one_of(_ANY_PART, _ANY_PART, _ANY_PART, _SLASH).filter(lambda name: name_fault(name) is None)


@st.composite
def tables(draw, *, fewest=1, most=14):
    """Rows (id, name, superclass, group) of a hierarchy: at least one, of any shape down to one node a level."""
    ids = draw(st.lists(names, min_size=fewest, max_size=most, unique=True))
    pool = st.sampled_from([*ids, *draw(st.lists(names, min_size=1, max_size=4))])  # names that repeat, names like ids
    superclasses = draw(st.lists(names.filter(lambda name: name not in ids), min_size=1, max_size=4, unique=True))
    groups = st.sampled_from(draw(st.lists(st.one_of(names, pool), min_size=1, max_size=4)))
    class_names = st.one_of(pool, st.sampled_from(superclasses))
    return [(id, draw(class_names), draw(st.sampled_from(superclasses)), draw(groups)) for id in ids]


def hierarchies(*, fewest=1, most=14):
    return tables(fewest=fewest, most=most).map(Hierarchy.from_rows)


@st.composite
def hierarchies_and_requests(draw):
    """A hierarchy and some of the ids and paths it answers to."""
    tree = draw(hierarchies())
    answers = [*tree.classes, *tree.nodes(1), *tree.nodes(2), *tree.nodes(3), ""]
    return tree, draw(st.lists(st.sampled_from(answers), min_size=1, max_size=5))
