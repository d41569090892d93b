"""Run files that come with vapo, found by name: a wheel carries them, and so does a clone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vapo.errors import ConfigError, suggest_nearest


@dataclass(frozen=True, slots=True)
class Recipe:
    """A run file that comes with vapo.

    Attributes:
        path: the file; its name without `.yaml` is what `vapo train --config` takes.
    """

    path: Path

    @property
    def name(self) -> str:
        """What it is called."""
        return self.path.stem

    @property
    def text(self) -> str:
        """The file as it is."""
        return self.path.read_text(encoding="utf-8")

    @property
    def title(self) -> str:
        """What it is for: its first line."""
        return self.text.partition("\n")[0].removeprefix("# ")


def list_recipes() -> list[Recipe]:
    """Return the recipes that come with vapo, in the order of their names."""
    return [Recipe(path) for path in sorted(find_recipes_folder().glob("*.yaml"))]


def open_recipe(name: str) -> Recipe:
    """Return the recipe of that name.

    Raises:
        ConfigError: there is none; the nearest name is told.
    """
    known = {recipe.name: recipe for recipe in list_recipes()}
    if name in known:
        return known[name]
    raise ConfigError(
        f"there is no recipe named {name!r}{suggest_nearest(name, known, closeness=0.6)}; `vapo recipes` lists them"
    )


def format_recipes() -> str:
    """Return the recipes as a table for a terminal."""
    recipes = list_recipes()
    width = max(len(recipe.name) for recipe in recipes)
    return "\n".join(f"{recipe.name:<{width}}  {recipe.title}" for recipe in recipes)


def find_recipes_folder() -> Path:
    """Return where the recipes are: inside the package in a wheel, at the root of a clone."""
    package = Path(__file__).parents[1]
    installed = package / "recipes"
    return installed if installed.is_dir() else package.parents[1] / "recipes"
