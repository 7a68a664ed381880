"""Alembic's entry: runs the migrations on the connection that `gateway.migrate` hands over."""

from alembic import context

from gateway.schema import complete

connection = context.config.attributes["connection"]
if connection is None:
    raise SystemExit("run `gateway migrate`: it opens the database the way the gateway does")

context.configure(
    connection=connection,
    target_metadata=complete(),
    render_as_batch=connection.dialect.name == "sqlite",
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
