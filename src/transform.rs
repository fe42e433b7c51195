//! Passes rows through a command of the operator's, for what SQL can't say.
//!
//! One run of the command takes one batch: a JSON object a line on its standard input, an object or `null`
//! a line on its standard output, in the same order, then exit code 0. An object holds the carried target
//! columns (what a rule names in `fills` is null); those that the answer holds replace them, `null` in
//! place of an object leaves the row out. Values are null, numbers, texts; bytes, and text that is not
//! UTF-8, are `{"hex": ".."}`.

mod text;

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::mpsc;

use crate::error::{Error, Kind, Result};
use crate::model::{Block, ColumnPair, Form, RowStream, States, TablePlan, Transform, Value};

/// About how many bytes of a stream are passed through one run of the command.
const RUN_BYTES: u64 = 8 << 20;
/// How many blocks of a stream may wait for the writer.
const BLOCKS_WAITING: usize = 2;
/// How much of the command's standard error is shown.
const SHOWN: usize = 500;

/// Passes states that were read through the table's command, if it has one.
///
/// # Errors
/// [`Kind::Table`] when the command fails or answers what can't be understood.
pub async fn states(table: &TablePlan, states: States) -> Result<States> {
    Ok(States { blocks: blocks(table, states.blocks).await?, ..states })
}

/// As [`states`], for their blocks alone.
///
/// # Errors
/// As [`states`].
pub async fn blocks(table: &TablePlan, blocks: Vec<Block>) -> Result<Vec<Block>> {
    match &table.rule.transform {
        Some(transform) => pass(table, transform, blocks).await,
        None => Ok(blocks),
    }
}

/// Passes a stream of rows (in [`Layout::Staged`](crate::model::Layout)) through the table's command, if it
/// has one.
pub fn stream(table: &TablePlan, mut rows: RowStream) -> RowStream {
    let Some(transform) = table.rule.transform.clone() else { return rows };
    let (sender, blocks) = mpsc::channel(BLOCKS_WAITING);
    let extent = rows.extent.clone();
    let table = table.clone();
    tokio::spawn(async move {
        let mut pieces = Pieces::default();
        loop {
            let passed = match rows.next().await {
                Ok(end @ Block::End { .. }) => pass(&table, &transform, pieces.rest(end)).await,
                Ok(block) => match pieces.add(block) {
                    Some(piece) => pass(&table, &transform, piece).await,
                    None => continue,
                },
                Err(error) => Err(error),
            };
            let ended =
                !matches!(&passed, Ok(blocks) if !blocks.iter().any(|b| matches!(b, Block::End { .. })));
            let blocks = match passed {
                Ok(blocks) => blocks.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            };
            for block in blocks {
                // Nobody listens any more: the reader was dropped.
                if sender.send(block).await.is_err() {
                    return;
                }
            }
            if ended {
                return;
            }
        }
    });
    RowStream { extent, blocks }
}

/// Gathers blocks into pieces that end with a row.
#[derive(Default)]
struct Pieces {
    waiting: Vec<Block>,
    bytes: u64,
}

impl Pieces {
    fn add(&mut self, block: Block) -> Option<Vec<Block>> {
        self.bytes += match &block {
            Block::Copy(bytes) => bytes.len() as u64,
            Block::Values(rows) => 64 * rows.len() as u64,
            Block::End { .. } => 0,
        };
        self.waiting.push(block);
        if self.bytes < RUN_BYTES {
            return None;
        }
        self.bytes = 0;
        let mut piece = std::mem::take(&mut self.waiting);
        if let Some(Block::Copy(last)) = piece.last_mut() {
            let rows = last.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
            self.waiting.push(Block::Copy(last.split_off(rows)));
        }
        Some(piece)
    }

    fn rest(&mut self, end: Block) -> Vec<Block> {
        let mut rest = std::mem::take(&mut self.waiting);
        rest.push(end);
        rest
    }
}

async fn pass(table: &TablePlan, transform: &Transform, blocks: Vec<Block>) -> Result<Vec<Block>> {
    let layout = Layout::of(table);
    let (mut rows, end) = layout.rows(blocks)?;
    let asked: Vec<usize> = (0..rows.len()).filter(|row| layout.is_present(&rows[*row])).collect();
    if !asked.is_empty() {
        let input: String =
            asked.iter().map(|row| layout.object(table, &rows[*row]).to_string() + "\n").collect();
        let answers = run(table, transform, input, asked.len()).await?;
        for (row, answer) in asked.into_iter().zip(answers) {
            layout.take(table, &mut rows[row], answer)?;
        }
    }
    Ok(layout.blocks(rows, end))
}

/// Where things stand in a staged row.
struct Layout {
    form: Form,
    /// Where the row says whether it is present.
    present: usize,
    /// Where the carried columns begin.
    columns: usize,
}

impl Layout {
    fn of(table: &TablePlan) -> Self {
        // PostgreSQL has the log's transaction in front.
        let present = if table.form == Form::Values { 1 } else { 2 };
        Layout { form: table.form, present, columns: present + 1 + table.key.len() }
    }

    fn rows(&self, blocks: Vec<Block>) -> Result<(Vec<Vec<Value>>, Option<Block>)> {
        let (mut rows, mut copied, mut end) = (Vec::new(), Vec::new(), None);
        for block in blocks {
            match block {
                Block::Values(some) => rows.extend(some),
                Block::Copy(bytes) => copied.extend_from_slice(&bytes),
                Block::End { .. } => end = Some(block),
            }
        }
        rows.extend(text::rows(&copied)?);
        Ok((rows, end))
    }

    fn blocks(&self, rows: Vec<Vec<Value>>, end: Option<Block>) -> Vec<Block> {
        let rows = match self.form {
            Form::Values => Block::Values(rows),
            Form::CopyText | Form::CopyBinary => Block::Copy(text::written(&rows).into()),
        };
        std::iter::once(rows).chain(end).collect()
    }

    fn is_present(&self, row: &[Value]) -> bool {
        match row.get(self.present) {
            Some(Value::Integer(present)) => *present != 0,
            Some(Value::Text(present)) => present == b"t",
            _ => false,
        }
    }

    fn object(&self, table: &TablePlan, row: &[Value]) -> Json {
        let columns = table.columns.iter().zip(row.iter().skip(self.columns));
        Json::Object(
            columns
                .map(|(pair, value)| (pair.target.clone(), to_json(value, is_text(pair))))
                .collect::<Map<_, _>>(),
        )
    }

    fn take(&self, table: &TablePlan, row: &mut [Value], answer: Json) -> Result<()> {
        match answer {
            Json::Object(columns) => {
                for (name, value) in columns {
                    let place = table.columns.iter().position(|c| c.target == name).ok_or_else(|| {
                        failed(
                            table,
                            &format!("it answers with a column {name:?}, which the rule does not carry"),
                        )
                    })?;
                    row[self.columns + place] = from_json(table, value, self.form)?;
                }
            }
            Json::Null => {
                row[self.present] = match self.form {
                    Form::Values => Value::Integer(0),
                    Form::CopyText | Form::CopyBinary => Value::Text(b"f".to_vec()),
                };
            }
            other => {
                return Err(failed(table, &format!("it answers with {other}, not with an object or null")));
            }
        }
        Ok(())
    }
}

/// Whether the column holds texts, which may travel as bytes of its own character set.
fn is_text(pair: &ColumnPair) -> bool {
    let kind = pair.source_type.to_lowercase();
    ["char", "text", "clob", "enum", "set(", "json"].iter().any(|text| kind.contains(text))
}

fn to_json(value: &Value, is_text: bool) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Integer(number) => json!(number),
        Value::Real(number) => json!(number),
        Value::Blob(bytes) if !is_text => json!({ "hex": hex::encode(bytes) }),
        Value::Text(bytes) | Value::Blob(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => json!(text),
            Err(_) => json!({ "hex": hex::encode(bytes) }),
        },
    }
}

fn from_json(table: &TablePlan, value: Json, form: Form) -> Result<Value> {
    let text = |text: String| Ok(Value::Text(text.into_bytes()));
    match value {
        Json::Null => Ok(Value::Null),
        Json::Bool(yes) if form == Form::Values => Ok(Value::Integer(yes.into())),
        Json::Bool(yes) => text(yes.to_string()),
        Json::Number(number) if form != Form::Values => text(number.to_string()),
        Json::Number(number) => Ok(match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::Integer(whole),
            (None, Some(real)) => Value::Real(real),
            (None, None) => Value::Text(number.to_string().into_bytes()),
        }),
        Json::String(given) => text(given),
        Json::Object(object) => {
            let bytes = object.get("hex").and_then(Json::as_str).and_then(|h| hex::decode(h).ok());
            let bytes = bytes
                .ok_or_else(|| failed(table, "it answers with an object that is not {\"hex\": \"..\"}"))?;
            match form {
                Form::Values => Ok(Value::Blob(bytes)),
                Form::CopyText | Form::CopyBinary => text(format!("\\x{}", hex::encode(bytes))),
            }
        }
        Json::Array(_) => Err(failed(table, "it answers with a list, which is no column's value")),
    }
}

/// Runs the command once: so many lines in, so many answers out.
async fn run(table: &TablePlan, transform: &Transform, input: String, lines: usize) -> Result<Vec<Json>> {
    let (program, arguments) =
        transform.command.split_first().ok_or_else(|| failed(table, "it names no program"))?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| failed(table, "it can't be started").because(e))?;
    let mut stdin = child.stdin.take();
    let write = async move {
        if let Some(mut stdin) = stdin.take() {
            // A command that doesn't read to the end shows in its answers.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let patience = Duration::from_millis(transform.timeout_ms);
    let both = async { tokio::join!(write, child.wait_with_output()).1 };
    let output = match tokio::time::timeout(patience, both).await {
        Ok(output) => output.map_err(|e| failed(table, "it can't be waited for").because(e))?,
        Err(_) => {
            let what = format!("it did not answer {lines} rows within {} ms", transform.timeout_ms);
            return Err(Error::new(Kind::Unavailable, format!("{}: its transform: {what}", table.source))
                .remedy("make it faster, allow it more time (`timeout`), or lower replay.batch_rows"));
        }
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said: String = said.trim().chars().take(SHOWN).collect();
        return Err(failed(table, &format!("it ended with {}: {said}", output.status)));
    }
    let answers: Vec<Json> = output
        .stdout
        .split(|b| *b == b'\n')
        .filter(|line| !line.is_empty())
        .map(serde_json::from_slice)
        .collect::<Result<_, _>>()
        .map_err(|e| failed(table, "it answers with a line that is no JSON").because(e))?;
    if answers.len() != lines {
        return Err(failed(table, &format!("it was given {lines} rows and answered {}", answers.len())));
    }
    Ok(answers)
}

fn failed(table: &TablePlan, what: &str) -> Error {
    let command = table.rule.transform.as_ref().map(|t| t.command.join(" ")).unwrap_or_default();
    Error::table(format!("{}: its transform `{command}`: {what}", table.source))
        .remedy("mend the command: a JSON object a line in, an object or null a line out, exit code 0")
}

#[cfg(test)]
mod tests;
