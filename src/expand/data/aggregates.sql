-- By section, model, language and purpose. What was reserved and given back unsent is no attempt.
SELECT chapter, section, model, language, purpose,
    count(*) FILTER (WHERE sent_at IS NOT NULL OR state != 'released') AS attempts,
    sum(prompt) AS prompt, sum(cached) AS cached, sum(completion) AS completion, sum(reasoning) AS reasoning,
    coalesce(sum(cost_pico), 0) AS cost_pico_usd,
    count(CASE WHEN cost_pico IS NULL THEN nullif(prompt + completion, 0) END) AS unpriced,
    sum(CASE WHEN prompt + completion > 0 THEN reserved_tokens ELSE 0 END) AS reserved
FROM attempt NOT INDEXED
GROUP BY chapter, section, model, language, purpose
ORDER BY chapter, section, model, language, purpose;

-- By day.
SELECT substr(reserved_at, 1, 10) AS day,
    count(*) FILTER (WHERE sent_at IS NOT NULL OR state != 'released') AS attempts,
    sum(prompt) AS prompt, sum(completion) AS completion,
    coalesce(sum(cost_pico), 0) AS cost_pico_usd,
    count(CASE WHEN cost_pico IS NULL THEN nullif(prompt + completion, 0) END) AS unpriced
FROM attempt NOT INDEXED
GROUP BY day
ORDER BY day;

-- What holds tokens without an answer.
SELECT chapter, section, model, state, count(*) AS attempts,
    sum(CASE state WHEN 'unknown' THEN prompt + completion ELSE reserved_tokens END) AS tokens
FROM (SELECT * FROM attempt WHERE state IN ('reserved', 'sent')
    UNION ALL SELECT * FROM attempt WHERE state = 'unknown') AS held
GROUP BY chapter, section, model, state
ORDER BY chapter, section, model, state
