//! The judges can refuse: without that, what they let pass would mean nothing.

use interop::judges::{expect_good, judge};

const GOOD: &str = r#"{"resourceType":"Observation","id":"o1","identifier":[{"system":"https://ehr.example/R4","value":"o1"}],"status":"final","code":{"coding":[{"system":"http://loinc.org","code":"718-7"}],"text":"Hemoglobin"},"subject":{"reference":"Patient/example"},"effectiveDateTime":"2026-01-01T09:00:00Z","valueQuantity":{"value":13.50,"unit":"g/dL","system":"http://unitsofmeasure.org","code":"g/dL"}}"#;

/// What is planted: a part of the good record, and what stands in its place.
const DEFECTS: [(&str, &str); 12] = [
    (r#""status":"final","#, ""),
    (r#""status":"final""#, r#""status":7"#),
    (r#""status":"final""#, r#""status":["final"]"#),
    (r#""code":{"#, r#""kode":{"#),
    (r#""id":"o1""#, r#""id":"o_1""#),
    ("13.50", "\"13.50\""),
    (r#""unit":"g/dL""#, r#""unit":null"#),
    ("2026-01-01T09:00:00Z", "2026-13-01T09:00:00Z"),
    ("2026-01-01T09:00:00Z", "2026-01-01 09:00"),
    (r#""identifier":[{"#, r#""identifier":[{"order":1,"#),
    (
        r#""resourceType":"Observation""#,
        r#""resourceType":"Observations""#,
    ),
    (
        r#""valueQuantity""#,
        r#""valueString":"13.50","valueQuantity""#,
    ),
];

#[test]
fn a_good_record_passes_both() {
    expect_good(&[GOOD.to_owned()]).expect("a good record");
}

#[test]
fn each_planted_defect_is_found_by_one_of_them() {
    let planted = DEFECTS.map(|(part, defect)| {
        let record = GOOD.replacen(part, defect, 1);
        assert_ne!(record, GOOD, "{part} is not in the record");
        record
    });
    for (record, verdict) in planted.iter().zip(judge(&planted).expect("verdicts")) {
        assert!(!verdict.is_good(), "nobody found the defect of {record}");
    }
    let of = |verdicts: Vec<bool>| verdicts.into_iter().filter(|found| *found).count();
    let verdicts = judge(&planted).expect("verdicts");
    let by_model = of(verdicts.iter().map(|it| !it.by_model.is_empty()).collect());
    let by_schema = of(verdicts.iter().map(|it| !it.by_schema.is_empty()).collect());
    assert!(
        by_model >= 8 && by_schema >= 8,
        "found by the model {by_model}, by the schema {by_schema}"
    );
}

#[test]
fn nothing_to_judge_is_no_pass() {
    assert!(expect_good(&[]).is_err());
}
