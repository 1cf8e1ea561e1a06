"""The ports of monitoring on a database."""

from flyball.monitoring.sql.alerts import SqlAlertStore
from flyball.monitoring.sql.calibrations import SqlCalibrationStore
from flyball.monitoring.sql.figures import SqlFigureStore
from flyball.monitoring.sql.labels import SqlLabelStore
from flyball.monitoring.sql.losses import SqlLossStore
from flyball.monitoring.sql.monitors import SqlMonitorStore
from flyball.monitoring.sql.predictions import SqlPredictionStore
from flyball.monitoring.sql.reports import SqlReportStore
from flyball.monitoring.sql.retention import SqlRetentionStore
from flyball.monitoring.sql.segments import SqlSegmentStore
from flyball.monitoring.sql.stretches import SqlStretchStore

__all__ = [
    "SqlAlertStore",
    "SqlCalibrationStore",
    "SqlFigureStore",
    "SqlLabelStore",
    "SqlLossStore",
    "SqlMonitorStore",
    "SqlPredictionStore",
    "SqlReportStore",
    "SqlRetentionStore",
    "SqlSegmentStore",
    "SqlStretchStore",
]
