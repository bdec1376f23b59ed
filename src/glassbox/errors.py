"""The errors a user can cause, each of which ends a command with one message and exit status 1."""


class GlassboxError(Exception):
    """A refusal that says what was found, what was expected and what to do next.

    Args:
        found: What was found and where, as a clause ("params.yaml: size is 'big'").
        expected: What would have been right.
        action: What the user can do next, as an imperative.
    """

    def __init__(self, found: str, expected: str, action: str) -> None:
        super().__init__(found, expected, action)
        self.found, self.expected, self.action = found, expected, action

    def __str__(self) -> str:
        return f"{self.found}\n  expected: {self.expected}\n  next: {self.action}"
