"""Alembic's entry: runs the migrations on the connection that `bot.store.migrate` hands over."""

from alembic import context

from bot.store.search import is_kept_apart
from bot.store.tables import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=True,
    include_name=is_kept_apart,
)
with context.begin_transaction():
    context.run_migrations()
