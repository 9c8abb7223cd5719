//! JUnit's XML, for CI: one test case for each experiment.

use crate::campaign::record::{Class, Header, Record};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use thiserror::Error;

/// Why there is no XML.
#[derive(Debug, Error)]
#[error("the records cannot be written as JUnit's XML: {0}")]
pub struct JunitError(#[from] quick_junit::SerializeError);

/// The records as a suite of tests: a failure where the guest's kernel is at fault, and *skipped* where the
/// fault did not come about or could not be judged.
///
/// # Errors
/// [`JunitError`] if something in them cannot stand in XML.
pub fn junit(header: &Header, records: &[Record]) -> Result<String, JunitError> {
    let mut suite = TestSuite::new(header.title.as_str());
    suite.add_property(("campaign", header.campaign.as_str()));
    suite.add_property(("golden-trace", header.golden.trace_hash.as_str()));
    suite.add_test_cases(records.iter().map(case));
    let mut report = Report::new("pagelab");
    report.add_test_suite(suite);
    Ok(report.to_string()?)
}

fn case(record: &Record) -> TestCase {
    let mut faults = record.faults.iter();
    let kind = faults.next().map_or("none", |fault| fault.kind.as_str());
    let names: Vec<&str> = record.faults.iter().map(|it| it.fault.as_str()).collect();
    let mut case = TestCase::new(
        format!("{} {}", record.id, names.join(" + ")),
        status(record),
    );
    case.set_classname(kind);
    case.set_system_out(format!("{}\n{}", record.command, record.reasons.join("\n")));
    case
}

fn status(record: &Record) -> TestCaseStatus {
    let mut status = match record.class {
        Class::NotActivated | Class::Skipped => TestCaseStatus::skipped(),
        Class::Masked | Class::DetectedRecovered | Class::DetectedUnrecoverable => {
            return TestCaseStatus::success();
        }
        Class::Corruption | Class::Crash | Class::Hang => {
            TestCaseStatus::non_success(NonSuccessKind::Failure)
        }
    };
    status.set_type(record.class.name());
    status.set_message(record.reasons.join("; "));
    status
}
