"""Every error of ours, in one tree.

FrontCounterError
├── SettingError            a setting is missing or wrong; names the variable and what to do
├── ContentError            a content file is wrong; names the file and the line
├── BackupError             a backup cannot be made, read or restored; says what to do
├── BadRequestError         what arrived cannot be from that platform (answered 4xx)
│   ├── SignatureError      it does not carry a valid signature (401)
│   │   └── ForgedError     the same, for a platform that expects 403
│   └── TooLargeError       it is larger than we accept (413)
├── UnavailableError        something we lean on is down; worth trying again (answered 503)
│   ├── StoreUnavailableError
│   └── AssistantUnavailableError
├── SendError               a platform did not take a message
│   ├── RetryLaterError     try again, not before `retry_after_seconds`
│   ├── UnsureError         it may or may not have arrived: never repeated blindly
│   └── RejectedError       it never will (blocked, unknown person, outside the window)
└── RefusedError            an action on a conversation is not allowed now; says why
    ├── GuardedError        a reply holds what must not leave; carries where it stands
    ├── StaleError          the conversation changed since the page was shown
    └── NotAllowedError     this person's role does not allow it
        ├── NoSuchChatError     there is none, or it is not theirs to know of: the same answer for both
        └── ReasonNeededError   a sensitive category: the page asks for a reason first
"""

from __future__ import annotations

from bot.messages import Finding


class FrontCounterError(Exception):
    """Base of every error of ours; `retryable` says whether the same call may work later."""

    retryable = False


class SettingError(FrontCounterError):
    """A setting is missing or wrong."""


class ContentError(FrontCounterError):
    """A content file (data/ or force/) is wrong."""


class BackupError(FrontCounterError):
    """A backup cannot be made, read or restored."""


class BadRequestError(FrontCounterError):
    """What arrived cannot be read as an event of that platform."""

    status = 400


class SignatureError(BadRequestError):
    """The signature is missing or wrong."""

    status = 401


class ForgedError(SignatureError):
    """The signature is missing or wrong, and the platform's documentation asks for 403."""

    status = 403


class TooLargeError(BadRequestError):
    """The body is larger than we accept."""

    status = 413


class UnavailableError(FrontCounterError):
    """Something we lean on does not answer."""

    retryable = True


class StoreUnavailableError(UnavailableError):
    """The database does not answer."""


class AssistantUnavailableError(UnavailableError):
    """Rasa or its action server does not answer, or answers rubbish."""


class SendError(FrontCounterError):
    """A platform did not take a message."""


class RetryLaterError(SendError):
    """The platform asks us to come back later, or could not be reached at all."""

    retryable = True

    def __init__(self, message: str, retry_after_seconds: float = 1.0, parts_sent: int = 0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        self.parts_sent = parts_sent
        """How many parts of a long text have left, counted from its beginning: none leaves twice."""


class UnsureError(SendError):
    """The request left, and no answer came back: it may have arrived."""


class RejectedError(SendError):
    """The platform will never take this message."""


class RefusedError(FrontCounterError):
    """An action on a conversation is not allowed as things stand."""


class GuardedError(RefusedError):
    """A reply holds what must not leave, and no reason was given to send it all the same."""

    def __init__(self, message: str, findings: tuple[Finding, ...]) -> None:
        super().__init__(message)
        self.findings = findings


class StaleError(RefusedError):
    """The conversation changed since the page that asked was shown."""


class NotAllowedError(RefusedError):
    """This member of staff may not do that."""


class NoSuchChatError(NotAllowedError):
    """There is no such conversation for this member of staff; whether there is one at all stays unsaid."""

    def __init__(self) -> None:
        super().__init__("There is no such chat, or your teams may not open it.")


class ReasonNeededError(NotAllowedError):
    """A conversation of a sensitive category is read only after a reason was given."""

    def __init__(self) -> None:
        super().__init__("Say first why you need to read this chat.")
