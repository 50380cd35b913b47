"""The tables as queries name them. What makes them is in ``store_migrations``; a test holds the two together."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Integer, MetaData, Table, Text

METADATA = MetaData()

STUDY = Table(
    "study",
    METADATA,
    Column("id", BigInteger, primary_key=True),
    Column("input_key", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_utc", Text, nullable=False),
)
STUDY_IDENTITY = Table(
    "study_identity",
    METADATA,
    Column("study_id", BigInteger, primary_key=True),
    Column("patient_name", Text),
    Column("patient_id", Text),
    Column("birth_date", Text),
    Column("sex", Text),
    Column("accession_number", Text),
    Column("study_instance_uid", Text),
    Column("study_date", Text),
    Column("description", Text),
)
STUDY_CONTENT = Table(
    "study_content",
    METADATA,
    Column("study_id", BigInteger, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("sha256", Text, nullable=False),
)
MACHINE_RESULT = Table(
    "machine_result",
    METADATA,
    Column("id", BigInteger, primary_key=True),
    Column("study_id", BigInteger, nullable=False),
    Column("number", Integer, nullable=False),
    Column("result_sha256", Text, nullable=False),
    Column("result_json", Text, nullable=False),
    Column("labels_sha256", Text),
    Column("status", Text, nullable=False),
    Column("agatston", Float),
    Column("category", Integer),
    Column("confidence", Text),
    Column("n_warnings", Integer, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_utc", Text, nullable=False),
)
REVIEW = Table(
    "review",
    METADATA,
    Column("id", BigInteger, primary_key=True),
    Column("result_id", BigInteger, nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_utc", Text, nullable=False),
)
REVIEW_EDIT = Table(
    "review_edit",
    METADATA,
    Column("review_id", BigInteger, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("edit_json", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("time_utc", Text, nullable=False),
)
SIGNATURE = Table(
    "signature",
    METADATA,
    Column("review_id", BigInteger, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("signed_by", Text, nullable=False),
    Column("signed_name", Text, nullable=False),
    Column("signed_utc", Text, nullable=False),
    Column("agatston", Float, nullable=False),
    Column("category", Integer, nullable=False),
    Column("result_json", Text, nullable=False),
    Column("result_sha256", Text, nullable=False),
    Column("labels_sha256", Text, nullable=False),
    Column("sites_sha256", Text, nullable=False),
)
AUDIT_EVENT = Table(
    "audit_event",
    METADATA,
    Column("number", BigInteger, primary_key=True),
    Column("time_utc", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail_json", Text, nullable=False),
    Column("previous_sha256", Text, nullable=False),
    Column("sha256", Text, nullable=False),
)
ACCOUNT = Table(
    "account",
    METADATA,
    Column("id", BigInteger, primary_key=True),
    Column("name", Text, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("password_hash", Text),
    Column("is_enabled", Integer, nullable=False),
    Column("issuer", Text),
    Column("subject", Text),
    Column("created_utc", Text, nullable=False),
    Column("changed_utc", Text, nullable=False),
)
LOGIN_SESSION = Table(
    "login_session",
    METADATA,
    Column("token_sha256", Text, primary_key=True),
    Column("account_id", BigInteger, nullable=False),
    Column("created_utc", Text, nullable=False),
    Column("seen_utc", Text, nullable=False),
)
LOGIN_ATTEMPTS = Table(
    "login_attempts",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("n_failures", Integer, nullable=False),
    Column("last_utc", Text, nullable=False),
    Column("blocked_until_utc", Text, nullable=False),
    Column("succeeded_utc", Text, nullable=False),
)
REPORT_SET = Table(
    "report_set",
    METADATA,
    Column("id", BigInteger, primary_key=True),
    Column("result_id", BigInteger, nullable=False),
    Column("review_id", BigInteger),
    Column("organization", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("n_attempts", Integer, nullable=False),
    Column("next_try_utc", Text, nullable=False),
    Column("claim", Text, nullable=False),
    Column("claimed_until_utc", Text, nullable=False),
    Column("asked_utc", Text, nullable=False),
    Column("ended_utc", Text),
)
REPORT_OBJECT = Table(
    "report_object",
    METADATA,
    Column("set_id", BigInteger, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("sha256", Text, nullable=False),
    Column("sop_class_uid", Text),
    Column("sop_instance_uid", Text),
    Column("study_uid", Text),
    Column("series_uid", Text),
)
DELIVERY = Table(
    "delivery",
    METADATA,
    Column("id", BigInteger, primary_key=True),
    Column("set_id", BigInteger, nullable=False),
    Column("destination", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("n_attempts", Integer, nullable=False),
    Column("since_attempt", Integer, nullable=False),
    Column("next_try_utc", Text, nullable=False),
    Column("claim", Text, nullable=False),
    Column("claimed_until_utc", Text, nullable=False),
    Column("asked_utc", Text, nullable=False),
    Column("ended_utc", Text),
)
DELIVERY_RECEIPT = Table(
    "delivery_receipt",
    METADATA,
    Column("id", BigInteger, primary_key=True),
    Column("delivery_id", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("name", Text),
    Column("sop_instance_uid", Text),
    Column("outcome", Text, nullable=False),
    Column("status", Integer),
    Column("words", Text, nullable=False),
    Column("place", Text, nullable=False),
    Column("time_utc", Text, nullable=False),
)
SCHEMA_MIGRATION = Table(
    "schema_migration",
    METADATA,
    Column("number", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("applied_utc", Text, nullable=False),
)
