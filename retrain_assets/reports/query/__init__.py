"""The record as tables: what an auditor asks in SQL, and questions that are ready. Reads only."""

from retrain_assets.reports.query.database import Answer, Database
from retrain_assets.reports.query.questions import QUESTIONS, Parameter, Question, question
from retrain_assets.reports.query.records import Records
from retrain_assets.reports.query.schema import TABLES, Column, Table

__all__ = ["QUESTIONS", "TABLES", "Answer", "Column", "Database", "Parameter", "Question", "Records", "Table", "question"]
