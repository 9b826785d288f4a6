"""What the database itself saw of every claim and every result, by triggers of ours."""

from __future__ import annotations

from tests.postgres import query

_TRIGGERS = """
CREATE TABLE audit (at timestamptz DEFAULT clock_timestamp(), seq bigint, position int, what text,
                    token bigint, owner text, place text);
CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.token IS DISTINCT FROM OLD.token THEN
    INSERT INTO audit (seq, position, what, token, owner, place)
    VALUES (NEW.seq, NEW.position, 'claimed', NEW.token, NEW.owner, NEW.place);
    IF NEW.token < OLD.token THEN
      INSERT INTO audit (seq, position, what, token) VALUES (NEW.seq, NEW.position, 'token fell', NEW.token);
    END IF;
  END IF;
  IF OLD.place = 'completed' AND (NEW.place, NEW.result) IS DISTINCT FROM (OLD.place, OLD.result) THEN
    INSERT INTO audit (seq, position, what, token)
    VALUES (NEW.seq, NEW.position, 'a final state changed', NEW.token);
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER note_change BEFORE UPDATE ON mailstrom.recipients
FOR EACH ROW EXECUTE FUNCTION note_change();
"""
_TWICE = """
SELECT token, count(DISTINCT owner), count(DISTINCT seq) FROM audit
WHERE what = 'claimed' AND token IS NOT NULL
GROUP BY token
HAVING count(DISTINCT owner) > 1 OR count(DISTINCT seq) > 1 OR count(*) > count(DISTINCT (seq, position))
"""
_WRONG = "SELECT what, seq, position, token FROM audit WHERE what <> 'claimed'"


class Audit:
    """Watches the table of recipients from now on."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        query(dsn, _TRIGGERS)

    def findings(self) -> list[object]:
        """Tokens that were claimed twice, tokens that fell, final states that changed."""
        return [*query(self._dsn, _TWICE), *query(self._dsn, _WRONG)]
