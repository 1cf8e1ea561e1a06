"""The stores of monitoring keep their promises on both databases."""

from __future__ import annotations

import pytest

from flyball.kernel.db import Database
from flyball.monitoring.calibration.conformance import CalibrationStoreConformance
from flyball.monitoring.conformance import (
    AlertStoreConformance,
    LabelStoreConformance,
    MonitorStoreConformance,
    PredictionStoreConformance,
    ReportStoreConformance,
    StretchStoreConformance,
)
from flyball.monitoring.sql import (
    SqlAlertStore,
    SqlCalibrationStore,
    SqlLabelStore,
    SqlMonitorStore,
    SqlPredictionStore,
    SqlReportStore,
    SqlStretchStore,
)
from flyball.monitoring.studies.conformance import StudyStoreConformance
from flyball.monitoring.studies.sql import SqlStudyStore


class TestSqlPredictionStore(PredictionStoreConformance):
    @pytest.fixture
    def store(self, database: Database) -> SqlPredictionStore:
        return SqlPredictionStore(database)


class TestSqlLabelStore(LabelStoreConformance):
    @pytest.fixture
    def store(self, database: Database) -> SqlLabelStore:
        return SqlLabelStore(database)


class TestSqlMonitorStore(MonitorStoreConformance):
    @pytest.fixture
    def store(self, database: Database) -> SqlMonitorStore:
        return SqlMonitorStore(database)


class TestSqlReportStore(ReportStoreConformance):
    @pytest.fixture
    def store(self, database: Database) -> SqlReportStore:
        return SqlReportStore(database)


class TestSqlAlertStore(AlertStoreConformance):
    @pytest.fixture
    def store(self, database: Database) -> SqlAlertStore:
        return SqlAlertStore(database)


class TestSqlStretchStore(StretchStoreConformance):
    @pytest.fixture
    def store(self, database: Database) -> SqlStretchStore:
        return SqlStretchStore(database)


class TestSqlCalibrationStore(CalibrationStoreConformance):
    @pytest.fixture
    def store(self, database: Database) -> SqlCalibrationStore:
        return SqlCalibrationStore(database)


class TestSqlStudyStore(StudyStoreConformance):
    @pytest.fixture
    def store(self, database: Database) -> SqlStudyStore:
        return SqlStudyStore(database)
