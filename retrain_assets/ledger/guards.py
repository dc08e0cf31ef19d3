"""Triggers by which the database itself refuses to change or remove what was recorded, and whether they are as made."""

from __future__ import annotations

import sqlalchemy as sa

_TABLES = {"events": "an event", "checkpoints": "a checkpoint"}
_LEDGER_TABLES = "relnamespace = current_schema()::regnamespace AND relname IN ('events', 'head', 'checkpoints', 'projections')"
_OF_THE_LEDGER = f"JOIN pg_class ON pg_class.oid = tgrelid WHERE {_LEDGER_TABLES}"
_REFUSAL = "the ledger is append-only: {what} is never {done}"
_GOES_BACK = "NEW.id <> OLD.id OR NEW.sequence < OLD.sequence OR (NEW.sequence = OLD.sequence AND NEW.hash <> OLD.hash)"
_BACK = "the ledger is append-only: the head never goes back"


def sqlite_guards() -> dict[str, str]:
    """SQL of the triggers by name, for SQLite.

    ``INSERT OR REPLACE`` removes rows without a delete trigger, so that an insert on top of a row is refused as well.
    """
    same = {
        "events": "sequence = NEW.sequence OR hash = NEW.hash OR previous_hash = NEW.previous_hash",
        "checkpoints": "sequence = NEW.sequence",
    }
    made = {}
    for table, what in _TABLES.items():
        for verb, done in (("UPDATE", "changed"), ("DELETE", "removed")):
            made[f"{table}_never_{done}"] = _sqlite(f"{table}_never_{done}", f"{verb} ON {table}", _refused(what, done))
        name = f"{table}_never_replaced"
        exists = f"EXISTS (SELECT 1 FROM {table} WHERE {same[table]})"
        made[name] = _sqlite(name, f"INSERT ON {table} WHEN {exists}", _refused(what, "replaced"))
    made["head_never_back"] = _sqlite("head_never_back", f"UPDATE ON head WHEN {_GOES_BACK}", _BACK)
    made["head_never_removed"] = _sqlite("head_never_removed", "DELETE ON head", _refused("the head", "removed"))
    made["head_never_replaced"] = _sqlite(
        "head_never_replaced", "INSERT ON head WHEN EXISTS (SELECT 1 FROM head)", _refused("the head", "replaced")
    )
    return made


def postgresql_guards() -> dict[str, str]:
    """SQL of the trigger functions and triggers by name, for PostgreSQL."""
    made = {}
    for table, what in (*_TABLES.items(), ("head", "the head")):
        name = f"{table}_never_changed"
        verbs = "DELETE OR TRUNCATE" if table == "head" else "UPDATE OR DELETE OR TRUNCATE"
        made[f"{name}()"] = _function(name, f"RAISE EXCEPTION '{_refused(what, 'changed or removed')}';")
        made[name] = f"CREATE TRIGGER {name} BEFORE {verbs} ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
    made["head_never_back()"] = _function(
        "head_never_back", f"IF {_GOES_BACK} THEN RAISE EXCEPTION '{_BACK}'; END IF; RETURN NEW;"
    )
    made["head_never_back"] = (
        "CREATE TRIGGER head_never_back BEFORE UPDATE ON head FOR EACH ROW EXECUTE FUNCTION head_never_back()"
    )
    return made


def set_guards(connection: sa.Connection) -> None:
    """Make the triggers; those that are there are made again."""
    if connection.dialect.name == "sqlite":
        for name, sql in sqlite_guards().items():
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}")
            connection.exec_driver_sql(sql)
        return
    for name, sql in postgresql_guards().items():
        if sql.startswith("CREATE TRIGGER"):
            table = "head" if name == "head_never_back" else name.partition("_")[0]
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name} ON {table}")
        connection.exec_driver_sql(sql)


def guard_faults(connection: sa.Connection) -> list[str]:
    """Triggers that are gone, switched off or other than they were made, or not the ledger's; one sentence each."""
    if connection.dialect.name == "sqlite":
        wanted = sqlite_guards()
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
        found: dict[str, str] = dict(map(tuple, connection.exec_driver_sql(query)))
        wrong = [name for name, sql in wanted.items() if found.get(name) != sql]
        foreign = connection.exec_driver_sql(
            "SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'view') ORDER BY name"
        )
        strange = [f"the {kind} {name}" for kind, name in foreign if name not in wanted]
    else:
        wanted = postgresql_guards()
        made = {
            f"{name}({arguments})": (body, language)
            for name, arguments, body, language in connection.exec_driver_sql(
                "SELECT proname, pg_get_function_arguments(pg_proc.oid), prosrc, lanname FROM pg_proc "
                "JOIN pg_language ON pg_language.oid = prolang WHERE pronamespace = current_schema()::regnamespace"
            )
        }
        triggers = {
            name: (definition, own)
            for name, definition, own in connection.exec_driver_sql(
                "SELECT tgname, pg_get_triggerdef(pg_trigger.oid, true), pronamespace = current_schema()::regnamespace "
                f"FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid {_OF_THE_LEDGER} AND tgenabled IN ('O', 'A')"
            )
        }
        strange = [
            f"the {kind} {name}"
            for kind, name in connection.exec_driver_sql(
                f"SELECT 'trigger', tgname FROM pg_trigger {_OF_THE_LEDGER} AND NOT tgisinternal "
                "UNION SELECT 'rule', rulename FROM pg_rewrite JOIN pg_class ON pg_class.oid = ev_class "
                f"WHERE {_LEDGER_TABLES} AND rulename <> '_RETURN' ORDER BY 2"
            )
            if name not in wanted
        ]
        wrong = [
            name
            for name, sql in wanted.items()
            if not (made.get(name) == (sql.split("$$")[1], "plpgsql") if "()" in name else _is_as_made(sql, triggers.get(name)))
        ]
    lost = [f"the trigger {name}, which keeps the record from being changed, is not as it was made" for name in wrong]
    return lost + [f"{what} is not the ledger's: it could change what is written or read" for what in strange]


def _is_as_made(sql: str, found: tuple[str, bool] | None) -> bool:
    """Whether a trigger calls the ledger's own function at the same events, of every row or statement, without a condition.

    PostgreSQL tells it in other words: ``DELETE OR UPDATE``, and with the schema where it is not the first in the search path.
    """
    if found is None or not found[1]:
        return False
    return _words(sql) == _words(found[0])


def _words(sql: str) -> list[str]:
    before, _, after = sql.partition(" ON ")
    return [*sorted(before.replace(" OR ", " ").split()), *(word.rpartition(".")[2] for word in after.split())]


def _sqlite(name: str, when: str, refusal: str) -> str:
    return f"CREATE TRIGGER {name} BEFORE {when} BEGIN SELECT RAISE(ABORT, '{refusal}'); END"


def _function(name: str, body: str) -> str:
    return f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {body} END$$"


def _refused(what: str, done: str) -> str:
    return _REFUSAL.format(what=what, done=done)
