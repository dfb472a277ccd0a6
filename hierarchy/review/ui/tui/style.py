"""The look of the full screen."""

# Blue agrees and orange differs, and a sign says the same for eyes that cannot tell them apart.
CSS = """
Screen { layout: vertical; }
#status { height: 1; background: $primary-background; padding: 0 1; text-style: bold; }
#body { height: 1fr; }
#tree { width: 38; background: $surface; padding: 0; scrollbar-size: 0 1; }
#right { width: 1fr; }
#question { height: 1fr; scrollbar-size: 0 1; padding: 0 1; }
#about { height: auto; margin-bottom: 1; }
#witnesses { height: auto; }
.witness { width: 1fr; height: auto; border: round $primary; padding: 0 1; }
.witness.apart { border: heavy $warning; }
.witness.silent { border: round $surface-lighten-2; color: $text-muted; }
#suggestions { height: auto; max-height: 6; padding: 0 1; }
#said { height: auto; max-height: 3; padding: 0 1; }
#said.refused { background: $warning 30%; text-style: bold; }
#keys { height: auto; padding: 0 1; background: $primary-background; }
.-wide #question { height: auto; max-height: 80%; margin-bottom: 1; }
.-narrow #tree, .-tiny #tree { width: 22; }
.-tiny #tree { display: none; }
.-narrow .witness, .-tiny .witness { border: none; border-left: outer $primary; padding: 0 1 0 0; }
.-narrow .witness.apart, .-tiny .witness.apart { border-left: outer $warning; }
.-narrow .witness.silent, .-tiny .witness.silent { border-left: outer $surface-lighten-2; }
TextScreen, SelectScreen, HelpScreen { align: center middle; }
.box { width: 80%; max-width: 100; height: auto; max-height: 90%; border: round $primary; background: $surface; }
.box { padding: 0 1; }
HelpScreen .box { width: 96%; max-height: 100%; scrollbar-size: 0 0; }
.box OptionList { height: auto; max-height: 14; border: none; }
.box Input { border: tall $primary; }
"""
BREAKPOINTS = [(0, "-tiny"), (66, "-narrow"), (110, "-wide")]  # columns, and the CSS class from there on
