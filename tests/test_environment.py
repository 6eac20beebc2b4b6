"""environment.yml (conda) asks for what pyproject.toml (pip) asks for, and the other way round."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PYPROJECT = (ROOT / "pyproject.toml").read_text()
ENVIRONMENT = (ROOT / "environment.yml").read_text()

CONDA_NAME = {"matplotlib": "matplotlib-base"}


def pyproject_lines(text: str) -> list[str]:
    """The requirements of the core and of the extras, without the project itself."""
    project = tomllib.loads(text)["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"]]
    lines += [line for name in ("lab", "sweep", "record", "test") for line in extras[name]]
    return [line for line in lines if Requirement(line).name != project["name"]]


def environment_lines(text: str) -> list[str]:
    """The requirements of both sections, without the project and the pip that installs it."""
    dependencies = yaml.safe_load(text)["dependencies"]
    (pip_section,) = (entry["pip"] for entry in dependencies if isinstance(entry, dict))
    conda_section = [entry for entry in dependencies if isinstance(entry, str)]
    return [line for line in conda_section + pip_section if line not in ("pip", "-e .")]


def asked_by_pyproject(text: str) -> dict[str, str]:
    """Range by conda's name."""
    asked = {"python": tomllib.loads(text)["project"]["requires-python"]}
    for requirement in map(Requirement, pyproject_lines(text)):
        name = canonicalize_name(requirement.name)
        asked[CONDA_NAME.get(name, name)] = str(requirement.specifier)
    return asked


def asked_by_environment(text: str) -> dict[str, str]:
    """Range by name, conda's ``=`` written as pip's ``==``."""
    asked = {}
    for line in environment_lines(text):
        name, spec = re.fullmatch(r"([\w.-]+)(.*)", line).groups()
        asked[canonicalize_name(name)] = re.sub(r"^=(?!=)", "==", spec)
    return asked


def test_both_ask_for_the_same():
    assert asked_by_environment(ENVIRONMENT) == asked_by_pyproject(PYPROJECT)


def test_form():
    environment = yaml.safe_load(ENVIRONMENT)
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    (pip_section,) = (d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    assert "-e ." in pip_section
    of_pypi = ("-e .", "playwright", "perfetto", "drgn")
    assert all(line.startswith(of_pypi) for line in pip_section)


def narrowed(line: str) -> str:
    return line + (",!=0" if "=" in line else "!=0")


@pytest.mark.parametrize("line", pyproject_lines(PYPROJECT))
def test_an_edit_of_pyproject_alone_is_seen(line):
    # The project's own name asks for nothing, so it stands for a line taken out.
    for edit in ("freehint", narrowed(line)):
        edited = PYPROJECT.replace(f'"{line}"', f'"{edit}"')
        assert asked_by_pyproject(edited) != asked_by_environment(ENVIRONMENT)


@pytest.mark.parametrize("line", environment_lines(ENVIRONMENT))
def test_an_edit_of_environment_alone_is_seen(line):
    for edit in ("-e .", narrowed(line)):
        edited = ENVIRONMENT.replace(f"- {line}\n", f"- {edit}\n")
        assert asked_by_environment(edited) != asked_by_pyproject(PYPROJECT)
