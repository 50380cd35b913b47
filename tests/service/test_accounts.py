from __future__ import annotations

import pytest
from argon2 import extract_parameters
from sqlalchemy import select

from calcmap.core.errors import AccountError
from calcmap.service.accounts import checked_display_name, checked_name
from calcmap.service.accounts_roles import RIGHTS, Right, Role
from calcmap.service.passwords import MAX_PASSWORD_CHARACTERS, HashingCost, Passwords
from calcmap.service.sessions import SessionLimits
from calcmap.service.store import Store
from calcmap.service.store_tables import LOGIN_SESSION
from service.people import ADMIN, CHEAP, PASSWORD, People, people_of


@pytest.fixture
def people(store: Store) -> People:
    return people_of(store)


def test_an_account_comes_back_as_it_was_made(people: People) -> None:
    made = people.add(" Mara.Lind ")
    assert (made.name, made.display_name, made.role, made.is_enabled) == (
        "mara.lind",
        "Dr.  Mara.Lind",
        Role.READER,
        True,
    )
    assert people.accounts.named("MARA.LIND") == people.accounts.get(made.id) == made
    people.add("anna", role=Role.VIEWER)
    assert [account.name for account in people.accounts.list()] == ["anna", "mara.lind"]
    for missing in (lambda: people.accounts.named("otto"), lambda: people.accounts.get(99)):
        with pytest.raises(AccountError):
            missing()


@pytest.mark.parametrize("name", ["", "a b", "-a", "ä", "a" * 65, "a\nb", "<b>", "root on the server"])
def test_a_name_that_cannot_be_one_is_refused(name: str) -> None:
    with pytest.raises(AccountError, match="a name has 1 to 64"):
        checked_name(name)


def test_two_people_never_have_one_name(people: People) -> None:
    people.add("mara")
    with pytest.raises(AccountError, match="the name mara is taken"):
        people.add("Mara")


@pytest.mark.parametrize("shown", ["", "  ", "a\nb", "x" * 65, "a\\b"])
def test_a_name_that_nobody_could_sign_with_is_refused(shown: str) -> None:
    with pytest.raises(AccountError, match="signed with"):
        checked_display_name(shown)


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("elevenchars", "12 to 256 characters, this one has 11"),
        ("x" * (MAX_PASSWORD_CHARACTERS + 1), "12 to 256"),
        ("tab\tin the middle", "printable"),
        ("aaaaaaaaaaaaab", "tried first"),
        ("012345678901", "tried first"),
        ("lkjhgfdsapoiu", "tried first"),
        ("Password2026!", "tried first"),
        ("maramara2026", "tried first"),
    ],
)
def test_a_password_that_is_tried_first_is_refused_without_repeating_it(password: str, words: str) -> None:
    with pytest.raises(AccountError, match=words) as refusal:
        Passwords(CHEAP).hash(password, names=("mara",))
    assert password not in str(refusal.value)


@pytest.mark.parametrize(
    "password",
    ["correct horse battery staple", "päßwörter für alle", "山田太郎の長い合言葉です。", "a password of my own garden"],
)
def test_length_counts_and_no_rule_of_composition(password: str) -> None:
    passwords = Passwords(CHEAP)
    stored = passwords.hash(password)
    assert passwords.is_right(password, stored)
    assert not passwords.is_right(password + " ", stored)


def test_one_password_written_in_two_ways_is_one() -> None:
    passwords = Passwords(CHEAP)
    assert passwords.is_right("cafe\u0301 und Kuchen", passwords.hash("caf\u00e9 und Kuchen"))


def test_passwords_are_argon2id_of_the_cost_that_is_documented() -> None:
    parameters = extract_parameters(Passwords().hash(PASSWORD))
    assert parameters.type.name == "ID"
    assert (parameters.time_cost, parameters.memory_cost, parameters.parallelism) == (3, 65536, 2)
    assert (parameters.salt_len, parameters.hash_len) == (16, 32)


def test_a_name_that_nobody_has_costs_the_work_of_a_wrong_password(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords, worked = Passwords(CHEAP), []
    hasher = passwords._hasher
    monkeypatch.setattr(type(hasher), "verify", lambda self, stored, typed: worked.append(extract_parameters(stored)))
    assert not passwords.is_right("whatever it is", None)
    passwords.is_right("whatever it is", hasher.hash(PASSWORD))
    assert worked[0] == worked[1]


def test_a_hash_that_is_none_opens_nothing() -> None:
    assert not Passwords(CHEAP).is_right(PASSWORD, "no hash")


def test_a_hash_of_another_cost_is_made_anew_and_sessions_stay(store: Store) -> None:
    old = people_of(store)
    old.add("mara")
    token = old.enter("mara")
    before = old.accounts.named("mara").password_hash
    new = people_of(store, cost=HashingCost(2, 16, 1, 1))
    new.enter("mara")
    after = new.accounts.named("mara").password_hash
    assert after is not None
    assert after != before
    assert extract_parameters(after).time_cost == 2
    assert new.sessions.find(token) is not None


def test_a_session_is_kept_as_a_hash_and_found_by_its_token(people: People, store: Store) -> None:
    people.add("mara")
    token = people.enter("mara")
    found = people.sessions.find(token)
    assert found is not None
    assert found.name == "mara"
    with store.database.reading() as connection:
        kept = str(connection.execute(select(LOGIN_SESSION)).all())
    assert token not in kept
    assert people.sessions.find(token + "x") is None


def test_a_session_ends_when_it_rests_and_when_it_is_old(store: Store) -> None:
    people = people_of(store, limits=SessionLimits(idle_minutes=30, absolute_hours=2))
    people.add("mara")
    token = people.enter("mara")
    for _ in range(4):
        people.clock.pass_(minutes=29)
        assert people.sessions.find(token) is not None
    people.clock.pass_(minutes=5)
    assert people.sessions.find(token) is None  # two hours and a minute
    token = people.enter("mara")
    people.clock.pass_(minutes=31)
    assert people.sessions.find(token) is None
    people.enter("mara")
    with store.database.reading() as connection:
        assert len(connection.execute(select(LOGIN_SESSION)).all()) == 1  # the others are gone


@pytest.mark.parametrize("what", ["disable", "role", "password"])
def test_a_change_of_the_account_ends_its_sessions_and_no_others(people: People, what: str) -> None:
    mara, otto = people.add("mara"), people.add("otto")
    tokens = [people.enter("mara"), people.enter("mara"), people.enter("otto")]
    if what == "disable":
        people.accounts.disable(mara, actor=ADMIN)
    elif what == "role":
        people.accounts.set_role(mara, Role.VIEWER, actor=ADMIN)
    else:
        people.accounts.set_password(mara, "another four random words", actor=ADMIN)
    assert [people.sessions.find(token) is not None for token in tokens] == [False, False, True]
    people.accounts.enable(mara, actor=ADMIN)
    assert people.sessions.find(tokens[0]) is None
    assert people.accounts.get(otto.id) == otto


def test_logging_out_ends_one_session(people: People) -> None:
    people.add("mara")
    one, other = people.enter("mara"), people.enter("mara")
    people.sessions.close(one, actor="mara")
    people.sessions.close(one, actor="mara")
    assert (people.sessions.find(one), people.sessions.find(other) is not None) == (None, True)


def test_every_change_of_an_account_is_in_the_trail_without_a_secret(people: People, store: Store) -> None:
    mara = people.add("mara")
    people.accounts.set_role(mara, Role.ADMIN, actor=ADMIN)
    people.accounts.set_password(mara, "another four random words", actor=ADMIN)
    people.accounts.disable(mara, actor=ADMIN)
    people.accounts.enable(mara, actor=ADMIN)
    token = people.enter("mara", "another four random words")
    people.sessions.close(token, actor="mara")
    events = store.audit_events(subject=f"user:{mara.id}")
    assert [(event.action, event.actor) for event in events] == [
        *((action, ADMIN) for action in ("add_user", "set_role", "set_password", "disable_user", "enable_user")),
        ("login", "mara"),
        ("logout", "mara"),
    ]
    told = str(events) + str(people.accounts.list())
    assert not any(secret in told for secret in ("random", "argon2", token))
    store.check()


def test_roles_have_the_rights_that_are_documented() -> None:
    assert {role.value: {right.value for right in rights} for role, rights in RIGHTS.items()} == {
        "viewer": {"see"},
        "reader": {"see", "review"},
        "admin": {"see", "manage_users", "read_audit"},
    }
    assert frozenset().union(*RIGHTS.values()) == set(Right)
