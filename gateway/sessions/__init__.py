"""Sessions: a person signed in at one browser or application, from one sign-in until its end.

An application's session, a grant, came from a browser's, its parent, and ends with it: when somebody ends that, not
when it merely expires or is replaced.

A session that has ended keeps its row for a while: processes learn of the end from it, and a late token finds out why.
"""

from .ending import (
    Grant,
    end,
    end_for_account,
    end_for_identity,
    end_grants,
    end_others,
    forget,
    make_room,
    make_room_for_grant,
    tell,
)
from .opening import Opening, ends_nothing, open_grant, open_own, open_together
from .rows import (
    MOST,
    REPLACED,
    Session,
    add,
    adopt,
    clear_spent_grants,
    get,
    grants_of,
    hold,
    hold_and_find,
    list_for,
    new,
    prune,
    retell,
    was_replaced,
)

__all__ = [
    "MOST",
    "REPLACED",
    "Grant",
    "Opening",
    "Session",
    "add",
    "adopt",
    "clear_spent_grants",
    "end",
    "end_for_account",
    "end_for_identity",
    "end_grants",
    "end_others",
    "ends_nothing",
    "forget",
    "get",
    "grants_of",
    "hold",
    "hold_and_find",
    "list_for",
    "make_room",
    "make_room_for_grant",
    "new",
    "open_grant",
    "open_own",
    "open_together",
    "prune",
    "retell",
    "tell",
    "was_replaced",
]
