"""What every error of this package has in common: words for the person who must act.

The machine is the operator's, so each error says what happened and what to do next. The three
attributes are those that the command line prints for the client's errors as well (see `commands`),
without either knowing the other.
"""

from typing import ClassVar


class HostError(Exception):
    """Something that this machine refuses.

    `reason` is stable and made for programs, `message` says what happened, `remedy` what to do
    about it.
    """

    reason: ClassVar[str] = "HOST"
    exit_code: ClassVar[int] = 1
    """The status with which a program ends that cannot go on because of this."""

    default_remedy: ClassVar[str] = ""

    def __init__(self, message: str, remedy: str | None = None) -> None:
        self.message = message
        self.remedy = self.default_remedy if remedy is None else remedy
        super().__init__(message)

    def __str__(self) -> str:
        return f"{self.message}: {self.remedy}" if self.remedy else self.message
