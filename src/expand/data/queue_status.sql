SELECT job.args, job.status::text, job.attempts, job.worker_id,
       coalesce(queue_worker.name, '') AS name,
       beat.last_heartbeat >= now() - make_interval(secs => %(silent)s) AS alive,
       event.at, to_jsonb(queue_word) - 'job_id' AS note
  FROM procrastinate_jobs AS job
  LEFT JOIN procrastinate_workers AS beat ON beat.id = job.worker_id
  LEFT JOIN queue_worker ON queue_worker.id = job.worker_id
  LEFT JOIN queue_word ON queue_word.job_id = job.id
  LEFT JOIN LATERAL (
       SELECT max(at) AS at FROM procrastinate_events
        WHERE job_id = job.id AND type <> 'scheduled') AS event ON true
 WHERE job.task_name = %(task)s
 ORDER BY job.id;

SELECT coalesce(queue_worker.name, 'worker ' || beat.id) AS name,
       coalesce(queue_worker.model, '') AS model,
       extract(epoch FROM now() - beat.last_heartbeat)::float8 AS silent_seconds,
       beat.last_heartbeat >= now() - make_interval(secs => %(silent)s) AS alive,
       (SELECT count(*)::int FROM procrastinate_jobs
         WHERE worker_id = beat.id AND status = 'doing') AS running
  FROM procrastinate_workers AS beat
  LEFT JOIN queue_worker ON queue_worker.id = beat.id
 ORDER BY beat.id
