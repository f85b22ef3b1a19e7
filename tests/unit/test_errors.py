from selfdeploy import errors


def test_every_error_has_an_exit_code_of_its_own() -> None:
    codes = [kind.exit_code for kind in errors.SelfdeployError.__subclasses__()]

    assert len(codes) == len(set(codes))


def test_no_exit_code_is_one_that_shells_python_or_invoke_give_a_meaning_to() -> None:
    codes = {kind.exit_code for kind in errors.SelfdeployError.__subclasses__()} - {errors.Interrupted.exit_code}

    assert all(2 < code < 126 for code in codes)
    assert errors.Interrupted.exit_code == 130


def test_every_error_says_what_is_wrong_and_what_to_do_next() -> None:
    error = errors.PortTaken("test: 127.0.0.1:80: taken", "free it")

    assert (str(error), error.message, error.hint) == (
        "test: 127.0.0.1:80: taken",
        "test: 127.0.0.1:80: taken",
        "free it",
    )
