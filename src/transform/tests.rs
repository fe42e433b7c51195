use super::*;
use crate::model::{ColumnPair, Rule, Strategy, TableName};

fn table(form: Form, command: &[&str]) -> TablePlan {
    TablePlan {
        source: TableName::bare("t"),
        target: TableName::bare("t"),
        target_id: String::new(),
        key: vec!["id".into()],
        columns: vec![
            ColumnPair::plain("id", "int", "id", "int"),
            ColumnPair::plain("a", "text", "a", "text"),
        ],
        rule: Rule {
            transform: Some(Transform {
                command: command.iter().map(ToString::to_string).collect(),
                timeout_ms: 5_000,
            }),
            ..Rule::default()
        },
        dependants: Vec::new(),
        looks_up: Vec::new(),
        strategy: Strategy::Keyed,
        form,
        partitioned: false,
        create: false,
        rows: 0,
        bytes: 0,
    }
}

const SED: [&str; 3] = ["sed", "-e", r#"s/"a":"x"/"a":"y"/; s/.*"a":"go".*/null/"#];

#[tokio::test]
async fn text_rows_pass_through() {
    let table = table(Form::CopyText, &SED);
    let rows = b"0\t1\tt\t7\t7\tx\n0\t2\tf\t8\t\\N\t\\N\n0\t3\tt\t9\t9\tgo\n";
    let end = Block::End { rows: 3, bytes: 9 };
    let blocks = vec![
        Block::Copy(bytes::Bytes::copy_from_slice(&rows[..9])),
        Block::Copy(bytes::Bytes::copy_from_slice(&rows[9..])),
        end.clone(),
    ];
    let passed = pass(&table, &table.rule.transform.clone().unwrap(), blocks).await.unwrap();
    let expected = b"0\t1\tt\t7\t7\ty\n0\t2\tf\t8\t\\N\t\\N\n0\t3\tf\t9\t9\tgo\n";
    assert_eq!(passed, vec![Block::Copy(bytes::Bytes::from_static(expected)), end]);
}

#[tokio::test]
async fn values_pass_through() {
    let table = table(Form::Values, &SED);
    let row = |n: i64, present: i64, a: &[u8]| {
        vec![
            Value::Integer(n),
            Value::Integer(present),
            Value::Integer(n),
            Value::Integer(n),
            Value::Text(a.to_vec()),
        ]
    };
    let blocks = vec![Block::Values(vec![row(1, 1, b"x"), row(2, 1, b"go"), row(3, 1, b"\xff")])];
    let passed = pass(&table, &table.rule.transform.clone().unwrap(), blocks).await.unwrap();
    let mut last = row(3, 1, b"");
    last[4] = Value::Blob(b"\xff".to_vec());
    assert_eq!(passed, vec![Block::Values(vec![row(1, 1, b"y"), row(2, 0, b"go"), last])]);
}

#[tokio::test]
async fn what_a_command_does_wrong_is_told() {
    for (command, said) in [
        (vec!["false"], "ended with exit status: 1"),
        (vec!["true"], "was given 1 rows and answered 0"),
        (vec!["echo", "x"], "no JSON"),
        (vec!["echo", "1"], "not with an object or null"),
        (vec!["echo", r#"{"b": 1}"#], "which the rule does not carry"),
        (vec!["/no/such/program"], "can't be started"),
        (vec!["sleep", "60"], "did not answer 1 rows within"),
    ] {
        let mut table = table(Form::CopyText, &command);
        if command[0] == "sleep" {
            table.rule.transform.as_mut().unwrap().timeout_ms = 50;
        }
        let blocks = vec![Block::Copy(bytes::Bytes::from_static(b"0\t1\tt\t7\t7\tx\n"))];
        let error = pass(&table, &table.rule.transform.clone().unwrap(), blocks).await.unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
}
