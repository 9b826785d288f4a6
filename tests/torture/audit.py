"""What the database itself saw of every claim and every result, by triggers of ours.

It tells the processes apart by their connections' `application_name`: one of its own for each.
"""

from __future__ import annotations

from tests.postgres import query

_TRIGGERS = """
CREATE TABLE audit (id bigserial PRIMARY KEY, seq bigint, position int, what text, token bigint, life text);
CREATE INDEX audit_of_recipient ON audit (seq, position, id) WHERE what = 'claimed';
CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  writer text := current_setting('application_name');
  claimed audit;
  wrong text;
BEGIN
  SELECT * INTO claimed FROM audit
  WHERE seq = OLD.seq AND position = OLD.position AND what = 'claimed' ORDER BY id DESC LIMIT 1;
  IF NEW.token IS DISTINCT FROM OLD.token THEN
    IF NEW.token IS NOT NULL THEN
      INSERT INTO audit (seq, position, what, token, life)
      VALUES (NEW.seq, NEW.position, 'claimed', NEW.token, writer);
    END IF;
    IF NEW.token < claimed.token THEN
      wrong := 'token fell';
    END IF;
  ELSIF (NEW.result, NEW.attempts, NEW.dot_sent, NEW.lease_until)
      IS DISTINCT FROM (OLD.result, OLD.attempts, OLD.dot_sent, OLD.lease_until)
      AND writer IS DISTINCT FROM claimed.life THEN
    wrong := 'stale write';
  END IF;
  IF OLD.place = 'completed' AND (NEW.place, NEW.result) IS DISTINCT FROM (OLD.place, OLD.result) THEN
    wrong := 'a final state changed';
  END IF;
  IF wrong IS NOT NULL THEN
    INSERT INTO audit (seq, position, what, token, life)
    VALUES (NEW.seq, NEW.position, wrong, NEW.token, writer);
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER note_change BEFORE UPDATE ON mailstrom.recipients
FOR EACH ROW EXECUTE FUNCTION note_change();
"""
_TWICE = """
SELECT 'claimed twice', token, array_agg(DISTINCT life) FROM audit WHERE what = 'claimed'
GROUP BY token
HAVING count(DISTINCT life) > 1 OR count(DISTINCT seq) > 1 OR count(*) > count(DISTINCT (seq, position))
"""
_WRONG = "SELECT what, token, array[life] FROM audit WHERE what <> 'claimed' ORDER BY id"


class Audit:
    """Watches the table of recipients from now on."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        query(dsn, _TRIGGERS)

    def findings(self) -> list[tuple[str, int, list[str]]]:
        """What went wrong, with which token, by whom.

        Tokens that were claimed twice or fell, final states that changed, and stale writes: what is
        kept of a claim was changed by another life than the one that claimed last.
        """
        return [
            (what, token, lives) for sql in (_TWICE, _WRONG) for what, token, lives in query(self._dsn, sql)
        ]


def as_life(dsn: str, name: str) -> str:
    """The DSN for one process."""
    return f"{dsn}?application_name={name}"
