"""How things look, whatever they show: the style, figures and tables as files, curves, panels and maps."""
