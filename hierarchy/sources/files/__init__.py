"""Files with class names: recognised by their content, in the forms that tools and data sets use."""

from hierarchy.sources.files.forms import FORMS, read_file
from hierarchy.sources.files.writing import WRITERS, write_labels

__all__ = ["FORMS", "WRITERS", "read_file", "write_labels"]
