"""The SELECTs of the ready questions, by name."""

from __future__ import annotations

TEXTS = {
    "live_on": """
WITH split AS (
    SELECT toggle, model, payload->>'to_stage' AS stage, (payload->>'share')::DOUBLE AS share, happened_at, sequence
    FROM events WHERE kind = 'toggle_stepped' AND happened_at <= $date
    QUALIFY row_number() OVER (PARTITION BY toggle ORDER BY sequence DESC) = 1
)
SELECT r.model, 'champion' AS arm, r.version, r.retrain, r.how, r.valid_from, r.valid_to,
       1 - coalesce(s.share, 0) AS share_of_traffic, r.bundle
FROM reigns r
LEFT JOIN toggles t ON t.model = r.model AND t.armed_at <= $date AND coalesce(t.ended_at > $date, true)
LEFT JOIN split s ON s.toggle = t.toggle
WHERE r.valid_from <= $date AND coalesce(r.valid_to > $date, true) AND ($model IS NULL OR r.model = $model)
UNION ALL
SELECT t.model, 'challenger', t.challenger, t.retrain, coalesce(s.stage, 'armed'), t.armed_at, t.ended_at,
       coalesce(s.share, 0), t.challenger_bundle
FROM toggles t LEFT JOIN split s ON s.toggle = t.toggle
WHERE t.armed_at <= $date AND coalesce(t.ended_at > $date, true) AND ($model IS NULL OR t.model = $model)
ORDER BY model, arm
""",
    "why_live": """
WITH candidate AS (
    SELECT * FROM retrains WHERE version = $version AND ($model IS NULL OR model = $model)
)
SELECT g.happened_at, g.model, g.retrain, 'gate ' || g.gate AS what,
       count(*) FILTER (outcome = 'pass') || ' of ' || count(*) || ' checks passed'
       || coalesce(': ' || string_agg(check_name || ' ' || outcome, ', ') FILTER (outcome <> 'pass'), '') AS said,
       'system' AS who, max(g.evidence) AS evidence, max(g.sequence) AS event
FROM gates g JOIN candidate USING (model, retrain)
WHERE g.latest GROUP BY ALL
UNION ALL
SELECT l.happened_at, l.model, l.retrain, 'look ' || l.number || ' in stage ' || l.stage, l.action || ': ' || l.reason,
       'system', l.evidence, l.sequence
FROM looks l JOIN candidate USING (model, retrain) GROUP BY ALL
UNION ALL
SELECT a.happened_at, a.model, a.retrain, a.act || CASE WHEN a.signed THEN ', signed' ELSE ', not signed' END,
       a.reason, a.approver, a.evidence, a.sequence
FROM approvals a JOIN candidate USING (model, retrain)
UNION ALL
SELECT o.happened_at, o.model, o.retrain, 'override of ' || o.gate || '.' || o.check_name, o.reason, o.approver, o.evidence,
       o.sequence
FROM overrides o JOIN candidate USING (model, retrain)
UNION ALL
SELECT e.happened_at, e.model, e.retrain, e.kind, e.reason, e.actor, e.payload->>'evidence', e.sequence
FROM events e JOIN candidate USING (model, retrain)
WHERE e.kind IN ('retrain_launched', 'candidate_registered', 'toggle_armed', 'toggle_stepped', 'promoted', 'rolled_back',
                 'retrain_ended')
ORDER BY event
""",
    "approved_by": """
SELECT happened_at, model, retrain, act, version, reason, signed, signing_key, counted, bundle, evidence, sequence AS event
FROM approvals WHERE approver = $approver ORDER BY sequence
""",
    "unsigned_approvals": """
SELECT happened_at, model, retrain, act, approver, typed_by, version, counted, reason, sequence AS event
FROM approvals WHERE NOT signed AND act IN ('approved', 'champion_bootstrapped') AND ($model IS NULL OR model = $model)
ORDER BY sequence
""",
    "alone_at_night": """
WITH acts AS (
    SELECT *, (hour(happened_at) >= $from_hour::INT AND hour(happened_at) < $to_hour::INT)
              OR ($from_hour::INT > $to_hour::INT
                  AND (hour(happened_at) >= $from_hour::INT OR hour(happened_at) < $to_hour::INT)) AS at_night
    FROM events
    WHERE actor_kind = 'person'
      AND kind IN ('rolled_back', 'kill_switch_engaged', 'kill_switch_released', 'champion_bootstrapped', 'approved', 'rejected',
                   'override_signed', 'toggle_stepped', 'toggle_resumed', 'toggle_extended', 'freeze_lifted')
)
SELECT a.happened_at, a.actor AS who, a.kind, a.model, a.retrain, a.reason, a.signed, a.sequence AS event
FROM acts a
WHERE a.at_night AND NOT EXISTS (
    FROM events b
    WHERE b.actor_kind = 'person' AND b.actor <> a.actor AND b.model IN (a.model, '*')
      AND abs(epoch(b.happened_at) - epoch(a.happened_at)) <= 12 * 3600
)
ORDER BY a.sequence
""",
    "overridden": """
SELECT o.model, o.retrain, o.gate, o.check_name, bool_or(o.in_force) AS in_force,
       string_agg(o.approver, ' and ' ORDER BY o.sequence) AS signed_by, bool_and(o.signed) AS all_signed,
       string_agg(o.reason, '; ' ORDER BY o.sequence) AS reasons, min(o.happened_at) AS first_signed, r.ended, r.version
FROM overrides o LEFT JOIN retrains r USING (model, retrain)
WHERE $model IS NULL OR o.model = $model
GROUP BY o.model, o.retrain, o.gate, o.check_name, o.bundle, r.ended, r.version
ORDER BY first_signed
""",
    "rollbacks": """
WITH back AS (
    SELECT sequence, happened_at, recorded_at, model, retrain, toggle, actor, actor_kind, reason,
           payload->>'cause' AS cause, payload->>'from' AS from_state, payload->>'stage' AS stage,
           payload->'restored'->>'version' AS restored
    FROM events WHERE kind = 'rolled_back' AND ($model IS NULL OR model = $model)
),
seen AS (
    SELECT DISTINCT toggle, sequence, happened_at, coalesce(harm_looks, 0) > 0 OR unusable_since IS NOT NULL AS sign FROM looks
),
streak AS (
    SELECT b.sequence, min(s.happened_at) AS first_sign
    FROM back b JOIN seen s ON s.toggle = b.toggle AND s.sequence < b.sequence AND s.sign AND b.from_state <> 'promoted'
    WHERE s.sequence > coalesce((SELECT max(calm.sequence) FROM seen calm
                                 WHERE calm.toggle = b.toggle AND calm.sequence < b.sequence AND NOT calm.sign), 0)
    GROUP BY b.sequence
),
stage AS (
    SELECT b.sequence, max(e.happened_at) AS stage_since
    FROM back b JOIN events e ON e.toggle = b.toggle AND e.sequence < b.sequence
                             AND e.kind IN ('toggle_armed', 'toggle_stepped', 'promoted')
    GROUP BY b.sequence
)
SELECT b.happened_at AS rolled_back_at, b.model, b.retrain, b.cause, b.actor AS by_whom, b.from_state, b.stage, b.restored,
       stage.stage_since, streak.first_sign,
       round((epoch(b.happened_at) - epoch(coalesce(streak.first_sign, stage.stage_since))) / 3600, 2) AS hours_to_recover,
       CASE WHEN streak.first_sign IS NOT NULL THEN 'first sign of harm' WHEN b.from_state = 'promoted' THEN 'promotion'
            ELSE 'stage start' END AS counted_from,
       b.reason, b.sequence AS event
FROM back b LEFT JOIN streak USING (sequence) LEFT JOIN stage USING (sequence)
ORDER BY b.sequence
""",
    "open_follow_ups": """
SELECT number, kind, model, retrain, opened_at, opened_by, reason,
       round((epoch($as_of) - epoch(opened_at)) / 86400, 1) AS days_open
FROM follow_ups
WHERE opened_at <= $as_of AND coalesce(closed_at > $as_of, true) AND ($model IS NULL OR model IN ($model, '*'))
ORDER BY number
""",
    "trained_on": """
SELECT d.dataset, d.model, d.retrain, d.version, r.ended, r.ended_at,
       EXISTS (FROM reigns l WHERE l.model = d.model AND l.bundle = d.bundle AND l.valid_to IS NULL) AS live_now,
       d.train_start, d.holdout_end, d.train_rows, d.holdout_rows, d.bundle
FROM datasets d LEFT JOIN retrains r USING (model, retrain)
WHERE starts_with(d.dataset, $dataset) OR starts_with(d.dataset, 'sha256:' || $dataset)
ORDER BY r.launched_at, d.model
""",
    "toggles_past_expiry": """
SELECT toggle, owner, coalesce(CASE WHEN ended_at <= $as_of THEN NULL ELSE 'active' END, 'ended, not retired') AS was,
       expires_at, remove_by,
       CASE WHEN coalesce(ended_at > $as_of, true) THEN round((epoch($as_of) - epoch(expires_at)) / 86400, 1) END
           AS days_past_expiry,
       CASE WHEN remove_by <= $as_of THEN round((epoch($as_of) - epoch(remove_by)) / 86400, 1) END AS days_past_removal,
       model, retrain
FROM toggles
WHERE armed_at <= $as_of AND coalesce(retired_at > $as_of, true)
  AND ((expires_at <= $as_of AND coalesce(ended_at > $as_of, true)) OR remove_by <= $as_of)
ORDER BY expires_at
""",
    "stopped_per_gate": """
WITH ended AS (
    SELECT *, CASE WHEN ended IN ('promoted', 'bootstrapped') THEN 'went live'
                   WHEN stopped_at IS NOT NULL THEN stopped_at
                   WHEN failure IS NOT NULL THEN 'stage failed' ELSE 'by a person' END AS fate
    FROM retrains WHERE ended IS NOT NULL AND ($model IS NULL OR model = $model)
)
SELECT model, fate AS stopped_at, count(*) AS retrains,
       round(100.0 * count(*) / sum(count(*)) OVER (PARTITION BY model), 1) AS per_cent,
       string_agg(retrain, ', ' ORDER BY launched_at) AS which
FROM ended GROUP BY model, fate
ORDER BY model, array_position(['data', 'training', 'offline', 'canary', 'promotion', 'stage failed', 'by a person', 'went live'],
                               fate)
""",
    "time_to_promotion": """
SELECT model, count(*) AS promotions,
       round(avg(epoch(p.happened_at) - epoch(launched_at)) / 86400, 2) AS mean_days,
       round(median(epoch(p.happened_at) - epoch(launched_at)) / 86400, 2) AS median_days,
       round(max(epoch(p.happened_at) - epoch(launched_at)) / 86400, 2) AS longest_days,
       string_agg(retrain, ', ' ORDER BY launched_at) AS retrains
FROM retrains JOIN events p USING (model, retrain)
WHERE p.kind = 'promoted' AND ($model IS NULL OR model = $model)
GROUP BY model ORDER BY model
""",
    "changed_between": """
SELECT happened_at, model, retrain, kind, actor AS who, reason, sequence AS event
FROM events
WHERE kind IN ('champion_bootstrapped', 'toggle_armed', 'toggle_stepped', 'toggle_held', 'toggle_resumed', 'promoted',
               'rolled_back', 'rejected', 'kill_switch_engaged', 'kill_switch_released')
  AND happened_at >= $from AND happened_at < $to AND ($model IS NULL OR model IN ($model, '*'))
ORDER BY sequence
""",
    "launched_and_approved_alone": """
SELECT r.model, r.retrain, r.launched_by, r.version, r.decided_at, string_agg(DISTINCT a.approver, ', ') AS approvers
FROM retrains r JOIN approvals a USING (model, retrain)
WHERE a.counted AND r.ended IN ('promoted', 'bootstrapped') AND ($model IS NULL OR r.model = $model)
GROUP BY r.model, r.retrain, r.launched_by, r.version, r.decided_at
HAVING bool_and('person:' || a.approver = r.launched_by)
ORDER BY r.decided_at
""",
}
