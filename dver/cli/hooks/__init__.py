"""The subcommands of `dver hook`, each the module of its name.

git or the pre-commit framework calls them, so each is quick where nothing is to be done, and says nothing then.
"""
