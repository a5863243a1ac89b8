"""Run by Alembic: each migration in one transaction, on the connection that `upgrade` hands over."""

from __future__ import annotations

from alembic import context

connection = context.config.attributes["connection"]
# SQLite's DDL is transactional once the driver is kept from committing on its own, which the store does.
context.configure(connection=connection, transactional_ddl=True, transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
