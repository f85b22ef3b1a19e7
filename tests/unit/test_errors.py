import errno

import pytest

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


@pytest.mark.parametrize(
    ("exc", "code", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 42, "a file of this command: No space"),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), 42, "/x: No space"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), 17, "/x: Permission denied"),
    ],
)
def test_what_the_system_says_of_a_file_or_a_disk_is_an_error_of_ours(exc: OSError, code: int, said: str) -> None:
    error = errors.unusable(exc)

    assert error.exit_code == code
    assert error.message.startswith(said)


def test_what_the_system_says_of_something_else_stays_what_it_is() -> None:
    with pytest.raises(ConnectionResetError):
        errors.unusable(ConnectionResetError(errno.ECONNRESET, "reset"))


def test_the_exit_code_of_another_process_of_ours_names_its_error() -> None:
    assert errors.of_code(42, errors.GatesIncomplete) is errors.DiskFull
    assert errors.of_code(1, errors.GatesIncomplete) is errors.GatesIncomplete
