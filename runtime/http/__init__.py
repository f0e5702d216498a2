"""HTTP requests and answers: shapes, callers, pagination, problem documents."""
