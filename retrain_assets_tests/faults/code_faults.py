"""Faults in the team's feature code and in its trainer."""

from __future__ import annotations

from retrain_assets_tests.faults.fault import Fault, InFeatures, InTraining, refused

HERE = "retrain_assets_tests.faults.feature_code"
KNOWN = "features_are_known_in_time"


def function(name: str) -> InFeatures:
    return InFeatures(f"{HERE}.{name}")


FEATURES = (
    Fault("departure_delay_as_feature", "A feature is known only after departure.", function("with_departure_delay"), (KNOWN,)),
    Fault(
        "time_made_up_as_feature",
        "Minutes made up on the way are a feature, known only after landing.",
        function("with_time_made_up"),
        (KNOWN,),
    ),
    Fault(
        "target_encoding_over_the_window",
        "Each carrier's share of late flights, of the whole window.",
        function("with_carrier_rate"),
        (KNOWN,),
    ),
    Fault(
        "target_encoding_without_the_row",
        "Each route's share of late flights, without the row's own.",
        function("with_rate_of_the_others"),
        (KNOWN,),
    ),
    Fault(
        "outcome_of_the_next_flight", "A window function looks one row ahead.", function("with_next_flights_outcome"), (KNOWN,)
    ),
    Fault(
        "normalised_over_the_batch",
        "Temperature is standardised over the rows of the call.",
        function("with_normalised_temperature"),
        ("features_match_serving",),
    ),
    Fault(
        "counted_over_the_batch",
        "Flights of the airport are counted in the rows of the call.",
        function("with_rank_in_batch"),
        ("features_match_serving",),
    ),
    Fault("position_in_the_batch", "A reset index became a feature.", function("with_row_number"), ("features_match_serving",)),
    Fault(
        "random_feature",
        "A feature draws a random number at every call.",
        function("with_random_number"),
        ("features_match_serving", "features_are_known_in_time"),
    ),
    Fault(
        "constant_from_code", "A join inside the feature code gives 1 everywhere.", function("with_constant"), ("features_vary",)
    ),
    Fault(
        "rows_dropped_by_features",
        "Feature code drops rows without temperature.",
        function("dropping_rows"),
        (refused("features"),),
    ),
    Fault(
        "rows_reordered_by_features",
        "Feature code sorts the rows; labels would be another row's.",
        function("in_another_order"),
        (refused("features"),),
    ),
    Fault("label_as_feature", "Feature code returns the label.", function("returning_the_label"), (refused("features"),)),
    Fault(
        "features_lost",
        "A refactoring lost the time of day.",
        function("without_the_clock"),
        ("not_worse_roc_auc", "beats_baseline"),
    ),
)

LIGHTGBM = "lightgbm.LGBMClassifier"
TRAINING = (
    Fault(
        "overfitting",
        "Regularisation was taken out for a higher score on the training rows.",
        InTraining(
            {
                "estimator": LIGHTGBM,
                "params": {
                    "n_estimators": 250,
                    "learning_rate": 0.3,
                    "num_leaves": 127,
                    "min_child_samples": 1,
                    "min_data_per_group": 1,
                    "cat_smooth": 0.01,
                    "cat_l2": 0.0,
                    "n_jobs": 1,
                },
            }
        ),
        ("not_worse_roc_auc", "meets_roc_auc"),
    ),
    Fault(
        "nothing_learned",
        "A learning rate of 1e-6: the fit runs and learns nothing.",
        InTraining(
            {"estimator": LIGHTGBM, "params": {"n_estimators": 20, "learning_rate": 1e-6, "n_jobs": 1}, "calibration": "none"}
        ),
        ("beats_baseline", "meets_roc_auc"),
    ),
    Fault(
        "no_seed",
        "A random forest seeded by the clock: no fit can be repeated.",
        InTraining(
            {
                "estimator": "retrain_assets_tests.faults.estimators.forest_seeded_by_the_clock",
                "params": {"n_estimators": 8, "max_depth": 6, "min_samples_leaf": 50},
            }
        ),
        ("refit_reproduces",),
    ),
    Fault(
        "class_weights_without_calibration",
        "Late flights were weighted fourfold and calibration was left out: every flight looks late.",
        InTraining({"calibration": "none", "params": {"scale_pos_weight": 4.0}}),
        ("calibrated", "beats_baseline"),
    ),
    Fault(
        "cannot_be_stored_without_pickle",
        "The estimator is wrapped in a pipeline with a function of the notebook.",
        InTraining({"estimator": "retrain_assets_tests.faults.estimators.OfTheNotebook", "params": {}, "calibration": "none"}),
        (refused("training"),),
    ),
    Fault(
        "fit_raises",
        "The estimator cannot be fitted on missing values.",
        InTraining({"estimator": "sklearn.linear_model.LogisticRegression", "params": {}, "calibration": "none"}),
        (refused("training"),),
    ),
    Fault(
        "too_big",
        "Trees without a limit: a bundle forty times the size.",
        InTraining(
            {"estimator": "sklearn.ensemble.RandomForestClassifier", "params": {"n_estimators": 25, "min_samples_leaf": 1}}
        ),
        ("size_within_budget",),
        needs="a forest on three weeks of rows is not above the limit",
    ),
)
FAULTS = (*FEATURES, *TRAINING)
