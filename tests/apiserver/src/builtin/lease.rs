//! Leases.

use serde_json::Value;

use crate::field::FieldError;

/// The faults of a lease.
pub(super) fn check(object: &Value, faults: &mut Vec<FieldError>) {
    let spec = &object["spec"];
    if let Some(seconds) = spec["leaseDurationSeconds"].as_i64()
        && seconds <= 0
    {
        let field = "spec.leaseDurationSeconds";
        faults.push(FieldError::invalid(
            field,
            &seconds.into(),
            "must be greater than 0",
        ));
    }
    if let Some(count) = spec["leaseTransitions"].as_i64()
        && count < 0
    {
        let said = "must be greater than or equal to 0";
        faults.push(FieldError::invalid(
            "spec.leaseTransitions",
            &count.into(),
            said,
        ));
    }
    if let Some(strategy) = spec["strategy"].as_str() {
        for said in crate::names::qualified(strategy) {
            faults.push(FieldError::invalid("spec.strategy", &strategy.into(), said));
        }
    }
}
