"""Every table. Migrations in `migrations/` make them; these classes only describe them.

Import from here: `from bot.store.tables import Conversation`. The files divide them by what they are about.
"""

from bot.store.tables.base import Base, Id, UtcDateTime
from bot.store.tables.desk import (
    Approval,
    CallBack,
    Label,
    Measure,
    ReadingReason,
    SafetyReview,
    Sample,
    StaffView,
    Surge,
    SurgeMember,
)
from bot.store.tables.people import (
    Person,
    PersonAlso,
    RecoveryCode,
    Staff,
    StaffLink,
    StaffSession,
    StaffTeam,
    Team,
)
from bot.store.tables.running import Alarm, AlarmAttempt, Live, Release, ReleaseItem, SignOff, Standing
from bot.store.tables.talk import (
    Attempt,
    Audit,
    Conversation,
    Draft,
    Due,
    Event,
    Lease,
    Message,
    Note,
    Outbox,
    OutboxTemplate,
)

__all__ = [
    "Alarm",
    "AlarmAttempt",
    "Approval",
    "Attempt",
    "Audit",
    "Base",
    "CallBack",
    "Conversation",
    "Draft",
    "Due",
    "Event",
    "Id",
    "Label",
    "Lease",
    "Live",
    "Measure",
    "Message",
    "Note",
    "Outbox",
    "OutboxTemplate",
    "Person",
    "PersonAlso",
    "ReadingReason",
    "RecoveryCode",
    "Release",
    "ReleaseItem",
    "SafetyReview",
    "Sample",
    "SignOff",
    "Staff",
    "StaffLink",
    "StaffSession",
    "StaffTeam",
    "StaffView",
    "Standing",
    "Surge",
    "SurgeMember",
    "Team",
    "UtcDateTime",
]
