//! Records for tests.

use crate::campaign::record::{
    Class, Counts, End, FaultPoint, Golden, Header, Record, TimelinePoint,
};

/// A header of a small campaign.
pub(in crate::campaign) fn header() -> Header {
    Header {
        format: crate::campaign::record::FORMAT.to_owned(),
        campaign: "ab".repeat(32),
        title: "A <small> campaign".to_owned(),
        seed: 1,
        pagelab: "0.1.0".to_owned(),
        guest: "cd".repeat(32),
        program: String::new(),
        experiment: "title = \"A <small> campaign\"\n".to_owned(),
        directory: ".".to_owned(),
        golden: Golden {
            trace_hash: "0123456789abcdef".to_owned(),
            output_hash: "ef".repeat(32),
            events: 1_000,
            boot_events: 23,
            audits: 40,
            event_limit: 10_000,
            timeline: [(24, 3, 0), (500, 900, 4096), (1_000, 0, 0)]
                .into_iter()
                .map(|(event, pages, balloon)| TimelinePoint {
                    event,
                    pages,
                    balloon,
                    ..TimelinePoint::default()
                })
                .collect(),
        },
        space: 4,
        points: 4,
        partition: None,
    }
}

/// A record of one fault.
pub(in crate::campaign) fn record(id: u64, kind: &str, site: Option<&str>, class: Class) -> Record {
    Record {
        id,
        faults: vec![FaultPoint {
            fault: format!("{kind},nth={}", id + 1),
            kind: kind.to_owned(),
            event: Some(100 + id),
            pid: Some(1),
            comm: Some("sh".to_owned()),
            site: site.map(str::to_owned),
            request: Some("order 0".to_owned()),
        }],
        weight: 1,
        class,
        reasons: vec![format!("reason {id} </script>")],
        trace_hash: "0123456789abcdef".to_owned(),
        output_hash: String::new(),
        end: Some(End::Status(0)),
        audits: Vec::new(),
        counts: Counts::default(),
        command: format!("pagelab run --fault {kind},nth={} -- ./sh", id + 1),
        evidence: None,
    }
}
