import json
import subprocess
import sys
from pathlib import Path

import pytest

from atrous.cli import VERBS, main


def test_overview_names_every_verb(capsys):
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f"  {verb} " in printed for verb in VERBS)


def test_no_verb_prints_the_overview_and_fails(capsys):
    assert main([]) == 2
    assert "usage" in capsys.readouterr().out


def test_unknown_verb_suggests_one(capsys):
    assert main(["evaluat"]) == 2
    assert 'did you mean "evaluate"?' in capsys.readouterr().err


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_loads_nothing_heavy(verb):
    code = (
        "import sys\nfrom atrous.cli import main\n"
        f"try: main([{verb!r}, '--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'matplotlib', 'lightning_fabric'} & sys.modules.keys()\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--json" in done.stdout


def test_an_error_is_one_line_and_exit_code_1(capsys, tmp_path):
    assert main(["evaluate", "--checkpoint", str(tmp_path / "no.safetensors"), "--data", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: no checkpoint at")
    assert printed.err.count("\n") == 1


def test_debug_shows_the_traceback(capsys, tmp_path):
    words = ["evaluate", "--checkpoint", str(tmp_path / "no.safetensors"), "--data", str(tmp_path), "--debug"]
    assert main(words) == 1
    assert "Traceback" in capsys.readouterr().err


def test_json_prints_one_object_and_nothing_else(capsys):
    assert main(["models", "compact", "--num-classes", "2", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)) == ["compact"]


@pytest.mark.slow
def test_a_recipe_gives_defaults_that_flags_override(capsys, tmp_path, tiny_data):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'network = "compact"\nprecision = "float32"\ndevice = "cpu"\n'
        "[front_end]\nnum_steps = 50\nbatch_size = 2\ncrop_size = [32, 32]\n"
    )
    words = ["train", str(tiny_data), "--recipe", str(recipe), "--front-end.num-steps", "2"]
    assert main([*words, "--output", str(tmp_path / "run"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert Path(result["checkpoint"]).exists()
    saved = (tmp_path / "run/recipe.toml").read_text()
    assert "num_steps = 2\n" in saved
    assert "batch_size = 2\n" in saved


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("networkk = 'compact'", 'did you mean "network"?'),
        ("network = 3", "must be of type str"),
        ("[front_end]\nnum_stepz = 3", 'did you mean "num_steps"?'),
        ("network = ", "no readable TOML"),
        ("network = 'compakt'\n[front_end]\nnum_steps = 1", 'did you mean "compact"?'),
    ],
)
def test_a_wrong_recipe_is_one_line(capsys, tmp_path, tiny_data, recipe, message):
    path = tmp_path / "recipe.toml"
    path.write_text(recipe)
    words = ["train", str(tiny_data), "--recipe", str(path), "--output", str(tmp_path / "run")]
    assert main(words) == 1
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.startswith("error: ")


def test_a_missing_recipe_is_one_line(capsys, tmp_path):
    assert main(["train", "data", "--recipe", str(tmp_path / "no.toml")]) == 1
    assert "no recipe at" in capsys.readouterr().err


@pytest.mark.slow
def test_a_closed_pipe_is_no_error():
    code = "from atrous.cli import main; import sys; sys.exit(main(['models']))"
    pipe = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert pipe.stdout is not None
    assert pipe.stderr is not None
    pipe.stdout.close()
    assert b"Traceback" not in pipe.stderr.read()
    pipe.wait()
    pipe.stderr.close()
