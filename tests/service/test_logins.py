from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from calcmap.core.errors import AccountError, NotAllowedError, NotSignedInError, TooManyRequestsError
from calcmap.service.accounts_roles import Role
from calcmap.service.login_attempts import AttemptLimits, BackOff, network_of
from calcmap.service.logins import ProvidedUser
from calcmap.service.passwords import Passwords
from calcmap.service.store import Store
from service.people import ADMIN, AWAY, HOME, PASSWORD, People, people_of

WRONG = "wrong and wrong again"
ISSUER = "https://login.example"


@pytest.fixture
def people(store: Store) -> People:
    made = people_of(store)
    made.add("mara")
    return made


def fail(people: People, name: str = "mara", *, address: str = HOME, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(NotSignedInError):
            people.enter(name, WRONG, address=address)


def waits_s(people: People, name: str = "mara", *, address: str = HOME) -> float:
    with pytest.raises(TooManyRequestsError) as refusal:
        people.enter(name, address=address)
    return refusal.value.retry_after_s


def test_a_wrong_name_a_wrong_password_and_an_account_that_is_off_are_told_alike(people: People) -> None:
    people.accounts.disable(people.add("otto"), actor=ADMIN)
    said = set()
    for name, password in (("mara", WRONG), ("nobody.at.all", PASSWORD), ("otto", PASSWORD), ("ma ra", PASSWORD)):
        with pytest.raises(NotSignedInError) as refusal:
            people.enter(name, password)
        said.add(str(refusal.value))
    assert len(said) == 1


def test_failures_are_in_the_trail_and_a_name_that_is_nobodys_is_not(people: People, store: Store) -> None:
    fail(people)
    fail(people, "hunter2 typed here")
    first, second = store.audit_events()[-2:]
    assert (first.action, first.subject, first.actor) == ("login_failed", "user:1", "nobody")
    assert (second.action, second.subject, second.actor) == ("login_failed", "user:unknown", "nobody")
    assert "hunter2" not in str(store.audit_events())
    assert HOME in second.detail_json


def test_an_old_session_ends_when_a_new_one_begins_in_its_place(people: People) -> None:
    old = people.enter("mara")
    new = people.logins.with_password("mara", PASSWORD, address=HOME, old_token=old)
    assert old != new
    assert people.sessions.find(old) is None


def test_waits_double_after_five_failures_up_to_a_quarter_of_an_hour(people: People) -> None:
    fail(people, times=5)
    assert waits_s(people) == 2.0
    people.clock.pass_(seconds=1.5)
    assert waits_s(people) == 0.5  # the right password is not looked at
    people.clock.pass_(seconds=1)
    fail(people)
    assert waits_s(people) == 4.0
    limit = AttemptLimits().name_at_address
    assert [limit.wait_s(n) for n in (0, 4, 5, 6, 13, 14, 1000)] == [0, 0, 2, 4, 512, 900, 900]


def test_coming_in_forgets_the_failures_before(people: People) -> None:
    fail(people, times=4)
    people.enter("mara")
    fail(people, times=4)
    people.enter("mara")


def test_a_wait_outlives_the_server_that_imposed_it(store_at: Callable[[], Store]) -> None:
    first = people_of(store_at())
    first.add("mara")
    fail(first, times=5)
    assert waits_s(people_of(store_at())) == 2.0


def test_nobody_is_locked_out_by_failures_elsewhere(people: People) -> None:
    people.enter("mara")  # at home, where she works
    for n in range(30):
        address = f"203.0.113.{n}"
        if n >= 20:
            assert waits_s(people, address=address) <= 30  # of the name, wherever it is tried
            people.clock.pass_(seconds=30)
        fail(people, address=address)
    assert waits_s(people, address=AWAY) <= 30
    assert people.enter("mara", address=HOME)


def test_who_fails_in_a_lab_slows_only_strangers_down(people: People) -> None:
    people.enter("mara")
    people.add("otto")
    for n in range(20):
        fail(people, f"guess{n}")
    assert waits_s(people, "otto") == 2.0  # never seen here
    assert people.enter("mara")
    people.clock.pass_(seconds=3)
    assert people.enter("otto")
    people.enter("otto")


def test_failures_are_forgotten_after_an_hour(people: People) -> None:
    fail(people, times=5)
    people.clock.pass_(seconds=3601)
    fail(people, times=4)
    people.enter("mara")


def test_a_clock_that_was_set_back_locks_nobody_out(people: People) -> None:
    fail(people, times=5)
    people.clock.pass_(days=-365)
    assert waits_s(people) == 900.0


def test_attempts_at_once_are_each_counted(people: People) -> None:
    def one(_: int) -> str:
        try:
            people.enter("mara", WRONG)
        except (NotSignedInError, TooManyRequestsError) as error:
            return error.code
        return "in"

    with ThreadPoolExecutor(8) as pool:
        ended = list(pool.map(one, range(24)))
    assert (ended.count("not_signed_in"), ended.count("in")) == (5, 0)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("unknown", "unknown"),
    ],
)
def test_what_one_customer_holds_is_one_address(address: str, network: str) -> None:
    assert network_of(address) == network


def test_a_wait_never_overflows() -> None:
    assert BackOff(1, 2.0, 30.0).wait_s(10**9) == 30.0


def test_changing_ones_password_needs_the_old_one_and_leaves_one_session(people: People) -> None:
    token, other = people.enter("mara"), people.enter("mara")
    account = people.sessions.find(token)
    assert account is not None
    with pytest.raises(AccountError, match="old password"):
        people.logins.change_password(account, old=WRONG, new="another four random words", address=HOME)
    with pytest.raises(AccountError, match="12 to 256"):
        people.logins.change_password(account, old=PASSWORD, new="short", address=HOME)
    assert people.sessions.find(other) is not None
    fresh = people.logins.change_password(account, old=PASSWORD, new="another four random words", address=HOME)
    assert [people.sessions.find(each) is not None for each in (token, other, fresh)] == [False, False, True]
    people.enter("mara", "another four random words")


def test_an_account_that_changes_while_its_password_is_looked_at_stays_out(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disable(self: Passwords, password: str, stored: str | None) -> bool:
        people.accounts.disable(people.accounts.named("mara"), actor=ADMIN)
        return True

    monkeypatch.setattr(Passwords, "is_right", disable)
    with pytest.raises(NotSignedInError):
        people.enter("mara")


def user(role: Role | None = Role.READER, *, name: str = "otto", shown: str = "Dr. Otto") -> ProvidedUser:
    return ProvidedUser(ISSUER, "4711", name, shown, role)


def test_a_providers_user_gets_an_account_and_no_password(people: People, store: Store) -> None:
    token = people.logins.with_provider(user(), address=HOME)
    account = people.sessions.find(token)
    assert account is not None
    assert (account.name, account.role, account.password_hash) == ("otto", Role.READER, None)
    with pytest.raises(NotSignedInError):
        people.enter("otto")
    with pytest.raises(AccountError, match="OpenID"):
        people.accounts.set_password(account, "another four random words", actor=ADMIN)
    again = people.logins.with_provider(user(name="renamed"), address=HOME, old_token=token)
    assert people.sessions.find(token) is None
    found = people.sessions.find(again)
    assert found is not None
    assert found.id == account.id  # by issuer and subject, whatever the name is now
    assert [event.action for event in store.audit_events(subject=f"user:{account.id}")][:2] == ["add_user", "login"]


def test_a_providers_user_follows_the_role_that_the_provider_says(people: People, store: Store) -> None:
    reader = people.logins.with_provider(user(), address=HOME)
    viewer = people.logins.with_provider(user(Role.VIEWER), address=HOME)
    assert people.sessions.find(reader) is None
    account = people.sessions.find(viewer)
    assert account is not None
    assert account.role is Role.VIEWER
    with pytest.raises(NotAllowedError, match="no role"):
        people.logins.with_provider(user(None), address=HOME)
    assert people.sessions.find(viewer) is None
    actions = [event.action for event in store.audit_events(subject=f"user:{account.id}")]
    assert actions == ["add_user", "login", "set_role", "login", "lose_role", "login_failed"]


def test_a_providers_user_cannot_become_somebody_else(people: People, store: Store) -> None:
    with pytest.raises(NotAllowedError, match="another account's"):
        people.logins.with_provider(user(name="Mara"), address=HOME)
    with pytest.raises(AccountError, match="a name has"):
        people.logins.with_provider(user(name="ä"), address=HOME)
    assert store.audit_events()[-1].action == "login_failed"
    assert [account.name for account in people.accounts.list()] == ["mara"]


def test_a_providers_user_who_was_disabled_stays_out(people: People) -> None:
    people.logins.with_provider(user(), address=HOME)
    people.accounts.disable(people.accounts.named("otto"), actor=ADMIN)
    with pytest.raises(NotAllowedError, match="off"):
        people.logins.with_provider(user(), address=HOME)
    with pytest.raises(NotAllowedError, match="no role"):
        people.logins.with_provider(ProvidedUser(ISSUER, "1", "gast", "Gast", None), address=HOME)
