#[tokio::test]
async fn scratch_ddl() {
    let source = super::connect("postgres://postgres@127.0.0.1:5544/bench").await;
    let plan = super::plan(source.as_ref()).await;
    std::fs::write("/tmp/h4ddl.sql", source.capture_ddl(&plan).await.unwrap()).unwrap();
}
