-- What showed that a history is not the one that was told before.

-- name: fork_signs_note
INSERT INTO fork_signs (space, witness, epoch, revision, shared, seen_ms, held)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (space, witness, epoch, revision) DO UPDATE SET
    shared = least(fork_signs.shared, excluded.shared),
    held = CASE excluded.held WHEN '' THEN fork_signs.held ELSE excluded.held END;

-- name: fork_signs_list
SELECT space, witness, epoch, revision, shared, seen_ms, held FROM fork_signs
WHERE (space, witness, epoch, revision) > ($1, $2, $3, $4)
ORDER BY space, witness, epoch, revision LIMIT $5;

-- name: fork_signs_since
SELECT space, min(shared), max(epoch) FROM fork_signs WHERE epoch >= $1 GROUP BY space;
