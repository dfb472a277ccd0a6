"""Files with class names: recognised by their content, in the forms that tools and data sets use."""

from hierarchy.sources.files.forms import FORMS, read_file

__all__ = ["FORMS", "read_file"]
