"""What Alembic runs, by its own contract, to reach the database: the connection that `upgrade` gave it."""

from alembic import context

from trunkline.state import schema

context.configure(connection=context.config.attributes["connection"], target_metadata=schema.metadata)
context.run_migrations()
