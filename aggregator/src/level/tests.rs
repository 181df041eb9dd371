//! Tables of lines: formats that state a level, lines that mislead, lines that state none.
use super::{Level, detect};

/// Checks a table of (level or `-`, line) and tells every line that is wrong.
fn check(table: &[(&str, &str)]) {
    let wrong: Vec<String> = table
        .iter()
        .map(|(level, line)| (*level, detect(line).map_or("-", Level::as_str), *line))
        .filter(|(level, found, _)| level != found)
        .map(|(level, found, line)| format!("is {level}, found {found}: {line:?}"))
        .collect();
    assert!(wrong.is_empty(), "{} of {} wrong:\n{}", wrong.len(), table.len(), wrong.join("\n"));
}

#[test]
fn formats_of_text() {
    check(&[
        // Java
        ("info", "2024-05-01 12:00:00,123 INFO [main] org.apache.hadoop.Foo: Created"),
        ("warn", "2024-05-01 12:00:00,123 - WARN  [SendWorker:188:QuorumCnxManager$SendWorker@688] - leaving"),
        ("info", "12:00:00.123 [main] INFO  com.example.App - started"),
        ("error", "12:00:00.123 [http-nio-8080-exec-1] ERROR c.e.App - failed"),
        ("info", "2024-05-01 12:00:00.123  INFO 1 --- [           main] c.e.demo.Application : Started"),
        ("error", "2024-05-01T12:00:00.123Z ERROR 1 --- [app] [main] c.e.demo.Application : no"),
        ("warn", "01-May-2024 12:00:00.123 WARNING [main] org.apache.catalina.core.X.y msg"),
        ("error", "SEVERE: Exception sending context initialized event"),
        ("info", "INFO: Server startup in 123 ms"),
        ("debug", "FINE: details"),
        ("info", "12:00:00,123 INFO  [org.jboss.as] (MSC service thread 1-1) started"),
        ("warn", "2024-05-01 12:00:00.123:WARN:oejs.Server:main: no"),
        ("info", "INFO  [main] 2024-05-01 12:00:00,123 CassandraDaemon.java:1 - msg"),
        ("info", "[main] INFO com.example.Foo - msg"),
        ("info", "17/06/09 20:10:40 INFO executor.CoarseGrainedExecutorBackend: Registered"),
        ("info", "081109 203615 148 INFO dfs.DataNode$PacketResponder: PacketResponder 1 terminating"),
        ("warn", "[2024-05-01T12:00:00,123][WARN ][o.e.d.c.ParseField       ] Deprecated"),
        ("trace", "[2024-05-01 12:00:00,123] TRACE Controller 0 epoch 1 changed (state.change.logger)"),
        ("info", "2024-05-01 12:00:00,123 | INFO  | Refreshing org | org.apache.activemq | main"),
        ("info", "2024-05-01 12:00:00,123 INFO : org.graylog2.Foo - msg"),
        ("info", "2024-05-01 12:00:00.123+0000 [id=1]\tINFO\th.x.Y#main: msg"),
        ("info", "2024-05-01T12:00:00.123Z\tINFO\tmain\tio.trino.Foo\tmsg"),
        ("info", "[INFO] [05/01/2024 12:00:00.123] [main] akka msg"),
        ("info", "[12:00:00] [Server thread/INFO]: Starting"),
        ("info", "2024-05-01T12:00:00,123+0000 [main] INFO  org.apache.pulsar.X - msg"),
        ("info", "2024.05.01 12:00:00 INFO  app[][o.s.a.SchedulerImpl] msg"),
        ("notice", "<May 1, 2024 12:00:00 AM UTC> <Notice> <WebLogicServer> <BEA-000360> <RUNNING>"),
        ("info", "[2024-05-01T12:00:00.123+0000][1][info][gc] GC(0) Pause"),
        // Python
        ("info", "INFO:root:hello"),
        ("error", "ERROR:app.db:gone"),
        ("info", "2024-05-01 12:00:00,123 - myapp - INFO - hello"),
        ("error", "2024-05-01 12:00:00,123 - my.app - ERROR - hello"),
        ("info", "INFO:     127.0.0.1:1234 - \"GET / HTTP/1.1\" 200 OK"),
        ("warn", "WARNING:  StatReload detected changes"),
        ("info", "[2024-05-01 12:00:00 +0000] [12] [INFO] Starting gunicorn"),
        ("info", "[2024-05-01 12:00:00,123: INFO/MainProcess] celery ready"),
        ("info", "2024-05-01 12:00:00.123 | INFO     | __main__:<module>:1 - msg"),
        ("notice", "2024-05-01 12:00:00.123 | SUCCESS  | __main__:<module>:1 - msg"),
        ("info", "2024-05-01 12:00:00 [info     ] msg    key=1"),
        ("info", "[2024-05-01, 12:00:00 UTC] {taskinstance.py:1} INFO - msg"),
        ("info", "2024-05-01 12:00:00 [scrapy.core.engine] INFO: Spider opened"),
        ("critical", "2024-05-01 12:00:00,123 CRIT Supervisor is running as root"),
        ("info", "2024-05-01 12:00:00,123 fail2ban.filter         [123]: INFO    [sshd] Found 1.2.3.4"),
        ("warn", "2024-05-01 12:00:00.123 WARNING (MainThread) [homeassistant.loader] msg"),
        ("info", "2024-05-16 00:00:00.008 25746 INFO nova.osapi_compute.wsgi.server [req-3 - - -] 1"),
        ("info", "api.log.1.2024-05-16_13:53:08 2024-05-16 00:00:00.008 25746 INFO nova.wsgi [req-3] 1"),
        ("warn", "[W 12:00:00.123 NotebookApp] no"),
        ("info", "INFO 2024-05-01 12:00:00,123 views 12 139 hello"),
        // Ruby
        ("error", "E, [2024-05-01T12:00:00.123456 #12] ERROR -- : boom"),
        ("debug", "D, [2024-05-01T12:00:00.123456 #12] DEBUG -- app: FATAL inside"),
        ("info", "2024-05-01T12:00:00.123Z 1 TID-abc INFO: Running in ruby"),
        ("info", "2024-05-01T12:00:00.123Z pid=1 tid=abc INFO: Booted"),
        ("info", "INFO  2024-05-01T12:00:00.123Z pid=1 tid=abc: start"),
        // Go
        ("error", "E0512 12:00:00.123456       1 reflector.go:138] failed"),
        ("info", "I0512 12:00:00.123456   1 a.go:1] ok"),
        ("info", "I180524 13:30:29.109872 1 util/log/clog.go:1079  [config] file"),
        ("info", "time=\"2024-05-01T12:00:00Z\" level=info msg=\"hi there\""),
        ("error", "ts=2024-05-01T12:00:00Z caller=main.go:1 msg=\"level=info\" level=error"),
        ("error", "t=2024-05-01T12:00:00+0000 lvl=eror msg=no logger=x"),
        ("warn", "level=warn msg=x"),
        ("info", "INFO[0000] starting"),
        ("info", "2024/05/01 12:00:00 INFO msg key=1"),
        ("info", "2024-05-01T12:00:00.000Z\tinfo\tcaller.go:1\tmsg"),
        ("info", "2024-05-01T12:00:00Z INF msg"),
        ("warn", "12:00PM WRN msg"),
        ("info", "INFO [05-01|12:00:00.000] Imported new chain segment"),
        ("error", "2024-05-01T12:00:00Z E! [outputs.influxdb] no"),
        ("info", "[6] 2024/05/01 12:00:00.000123 [INF] Starting nats-server"),
        ("info", "    2024/05/01 12:00:00 [INFO] agent: started"),
        ("info", "2024-05-01T12:00:00.000Z [INFO]  core: seal"),
        ("notice", "2024-05-01 12:00:00.123456 N | etcdmain: msg"),
        ("info", "[INFO] plugin/reload: Running"),
        ("critical", "panic: runtime error: index out of range"),
        ("warn", "[GIN-debug] [WARNING] Running in \"debug\" mode"),
        // Rust
        ("info", "2024-05-01T12:00:00.123456Z  INFO my_crate::x: msg"),
        ("warn", "[2024-05-01T12:00:00Z WARN  my::crate] msg"),
        ("info", "\u{1b}[2m2024-05-01T12:00:00.123456Z\u{1b}[0m \u{1b}[32m INFO\u{1b}[0m \u{1b}[2mapp\u{1b}[0m: m"),
        ("error", "\u{1b}[2m2024-05-01T12:00:00.123456Z\u{1b}[0m \u{1b}[31mERROR\u{1b}[0m app: m"),
        // JavaScript, PHP, .NET, Elixir, C++
        ("info", "info: server listening"),
        ("info", "\u{1b}[32minfo\u{1b}[39m: server listening"),
        ("error", "npm ERR! code ELIFECYCLE"),
        ("info", "[Nest] 1  - 05/01/2024, 12:00:00 AM     LOG [NestFactory] Starting Nest application"),
        ("info", "[12:00:00.123] INFO (1): hello"),
        ("error", "[2024-05-01 12:00:00] production.ERROR: boom {\"level\":\"debug\"}"),
        ("critical", "[01-May-2024 12:00:00 UTC] PHP Fatal error:  Uncaught Error: x"),
        ("warn", "PHP Warning:  foreach() in x"),
        ("notice", "[01-May-2024 12:00:00] NOTICE: fpm is running, pid 1"),
        ("error", "fail: Microsoft.Hosting.Lifetime[0]"),
        ("info", "info: Microsoft.Hosting.Lifetime[0]"),
        ("debug", "dbug: Microsoft.Hosting[0]"),
        ("error", "[12:00:00 ERR] boom"),
        ("info", "2024-05-01 12:00:00.1234|INFO|My.Logger|msg"),
        ("info", "12:00:00.123 request_id=abc [info] GET /"),
        ("error", "=ERROR REPORT==== 1-Feb-2024::12:00:00 ==="),
        ("warn", "[1:1:0501/120000.123456:WARNING:x.cc(12)] msg"),
    ]);
}

#[test]
fn formats_of_services() {
    check(&[
        ("error", "2024/05/01 12:00:00 [error] 31#31: *1 open() failed, request: \"GET /info\""),
        ("notice", "2024/05/01 12:00:00 [notice] 1#1: start worker processes"),
        ("error", "[Mon Dec 05 07:47:36 2005] [error] mod_jk child in error state 6"),
        ("error", "[Fri Sep 09 10:42:29.902022 2011] [core:error] [pid 35708:tid 43] [client 1.2.3.4] File"),
        ("trace", "[Fri Sep 09 10:42:29.902022 2011] [proxy:trace2] [pid 35708:tid 43] x"),
        ("info", "2024-05-01 12:00:00.123 UTC [1] LOG:  database system is ready"),
        ("error", "2024-05-01 12:00:00.123 UTC [99] app@shop ERROR:  duplicate key value"),
        ("critical", "2024-05-01 12:00:00 CEST [99-1] FATAL:  role \"info\" does not exist"),
        ("info", "2024-05-01 12:00:00 EST [832-2] HINT:  Consider increasing"),
        ("debug", "2024-05-01 12:00:00.123 UTC [1] DEBUG1:  x"),
        (
            "error",
            "2024-05-01 12:00:00.123 UTC,\"app\",\"shop\",29,\"1.2.3.4:45\",5ff.1d,1,\"SELECT\",2024-05-01 12:00:00 UTC,3/0,0,ERROR,42P01,\"relation\",,",
        ),
        ("info", "2024-05-01 12:00:00.123 UTC [1] LOG C-0x1: shop/app@10.0.0.1:1 login attempt"),
        ("notice", "1:M 01 May 2024 12:00:00.123 * Ready to accept connections"),
        ("warn", "1:M 01 May 2024 12:00:00.123 # WARNING overcommit_memory is set to 0"),
        ("info", "1:M 01 May 2024 12:00:00.123 - Accepted 10.0.0.1:1"),
        ("debug", "30 May 10:05:20 . 0 clients connected"),
        ("notice", "[2932] 31 May 04:32:08 * The server is now ready"),
        ("info", "2024-05-01T12:00:00.677+0100 I STORAGE  [initandlisten] x"),
        ("info", "2024-05-01T12:00:00.677+0100 I -        [conn1] x"),
        ("debug", "2024-05-01T12:00:00.677+0100 D2 QUERY    [conn1] x"),
        ("warn", "2024-05-01T12:00:00.335060Z 0 [Warning] TIMESTAMP with implicit DEFAULT"),
        ("notice", "161209 14:18:50 [Note] Plugin 'FEDERATED' is disabled."),
        ("error", "2024-05-01 12:00:00 22 [ERROR] InnoDB: x"),
        ("info", "[2024-05-01 13:43:09 +0200] information/ApiListener: x"),
        ("critical", "[2024-05-01 13:43:09 +0200] critical/config: Error"),
        ("info", "2024-05-01 11:13:15.076 [info] <0.198.0> node"),
        ("info", "[2024-05-01 12:00:00.123][1][info][main] [source/server/server.cc:203] x"),
        ("warn", "[WARNING] 163/120000 (123) : config"),
        ("info", "03-17 16:13:38.811  1702  2395 I chatty  : uid=1000"),
        ("debug", "03-17 16:13:38.811  1702  2395 D WindowManager: print"),
        ("error", "E/flutter ( 123): no"),
        (
            "info",
            "- 1117838570 2005.06.03 R02-M1-N0-C:J12-U11 2005-06-03-15.42.50.363779 R02-M1-N0-C:J12-U11 RAS KERNEL INFO instruction cache parity error corrected",
        ),
        (
            "critical",
            "- 1117838570 2005.06.03 R02-M1-N0 2005-06-03-15.42.50.363779 R02-M1-N0 RAS APP FATAL ciod: failed",
        ),
        ("info", "2016-09-28 04:30:30, Info                  CBS    Loaded Servicing Stack"),
        ("info", "<30>May  1 12:00:00 host app[1]: hello"),
        ("error", "<30>May  1 12:00:00 host app[1]: ERROR: hello"),
        ("warn", "<12>1 2024-05-01T12:00:00Z host app 1 - - hello"),
        ("info", "01-May-2024 12:00:00.123 general: info: managed-keys-zone: loaded"),
        ("info", "[1714561200] unbound[1:0] info: start of service"),
        ("warn", "May  1 12:00:00 mail postfix/smtpd[1]: warning: hostname x does not resolve"),
        ("notice", "May 01 12:00:00.000 [notice] Tor 0.4 opening log file."),
        ("error", "2024.05.01 12:00:00.123456 [ 1 ] {} <Error> Application: msg"),
        ("info", "<info>  [1714561200.1234] manager: NetworkManager state"),
        ("info", "1/5/2024 -- 12:00:00 - <Info> - all threads running"),
        ("warn", "[    12.345] (WW) fallback"),
        ("info", "2024-05-01T12:00:00.123456789Z stdout F 2024-05-01 12:00:00 INFO started"),
        ("error", "web_1  | 2024-05-01 12:00:00 ERROR no"),
        ("warn", "WARNING: Published ports are discarded"),
        ("warn", "May  1 12:00:00 WARNING[123][C-0000]: chan_sip.c:1 x"),
        ("info", "[2024-05-01T06:45:16.802Z] I santad: action=EXEC|decision=ALLOW"),
        ("error", "Error: Cannot find module 'x'"),
        ("info", "2024-05-01T12:00:00.123Z info vpxd[123] [Originator@6876] x"),
        ("error", "May  1 12:00:00 host kubelet[1]: E0512 12:00:00.123456   1 a.go:1] no"),
        ("warn", "<14>1 2024-05-01T12:00:00Z node app 12 - - {\"level\":\"warn\"}"),
        ("warn", "<14>1 2024-05-01T12:00:00Z node app 12 ID [a@1 b=\"]\\\"\"][c] WARN: no"),
        ("info", "<14>1 2024-05-01T12:00:00Z node app"),
        ("info", "web_1  | 081110 211926 26 INFO dfs.FSNamesystem: BLOCK*"),
        ("notice", "web_1  | 1:M 01 May 2024 12:00:00.123 * Ready"),
        ("error", "web_1  | E, [2024-05-01T12:00:00.123456 #12] ERROR -- : no"),
        ("warn", "2024-05-01 12:00:00.123456: W tensorflow/core/x.cc:1] no"),
        (
            "error",
            "- 1118 2005.06.04 NULL 2005-06-04-00.24.32.432192 NULL RAS MMCS ERROR idoproxydb hit ASSERT condition",
        ),
    ]);
}

#[test]
fn json() {
    check(&[
        ("error", r#"{"level":"error","msg":"x"}"#),
        ("error", r#"{"message":"level: \"info\"","time":"x","level":"ERROR"}"#),
        ("warn", r#"{"@timestamp":"x","log":{"logger":"y","level":"WARN"},"message":"z"}"#),
        ("warn", r#"{"@timestamp":"x","log.level": "WARN","message":"z"}"#),
        ("error", r#"{"name":"app","hostname":"h","pid":1,"level":50,"msg":"x","time":"2024","v":0}"#),
        ("info", r#"{"level":30,"time":1714561200000,"pid":1,"hostname":"h","msg":"x"}"#),
        ("debug", r#"{"level":20,"time":1714561200000,"msg":"x"}"#),
        ("-", r#"{"level":30,"msg":"x"}"#),
        ("error", r#"{"level":400,"level_name":"ERROR","message":"x"}"#),
        ("info", r#"{"message":"x","context":{"level":"error"},"level":200,"channel":"app"}"#),
        ("info", r#"{"severity":"INFO","message":"x"}"#),
        ("info", r#"{"Timestamp":"x","SeverityText":"Information","Body":"x"}"#),
        ("warn", r#"{"@t":"x","@mt":"y","@l":"Warning"}"#),
        ("info", r#"{"EventId":0,"LogLevel":"Information","Category":"x"}"#),
        ("info", r#"{"time":"x","level":"INFO+2","msg":"y"}"#),
        ("info", r#"{"t":{"$date":"2024"},"s":"I",  "c":"NETWORK", "id":22943, "msg":"x"}"#),
        ("debug", r#"{"t":{"$date":"2024"},"s":"D2", "c":"QUERY", "id":22943}"#),
        ("-", r#"{"id":1,"s":"I","c":"x"}"#),
        ("warn", r#"{"version":"1.1","host":"h","short_message":"x","level":4}"#),
        ("-", r#"{"level":6,"message":"x"}"#),
        (
            "error",
            r#"{"text":"x | INFO | y","record":{"elapsed":{"s":1},"level":{"icon":"x","name":"ERROR","no":40}}}"#,
        ),
        ("info", r#"{"type":"log","@timestamp":"x","tags":["info","plugins-service"],"pid":1,"message":"x"}"#),
        ("-", r#"{"type":"response","@timestamp":"x","tags":[],"pid":1,"statusCode":200}"#),
        ("error", r#"{"log":"2024-05-01 12:00:00 \u001b[31mERROR\u001b[0m x\n","stream":"stdout","time":"2024"}"#),
        ("info", r#"{"log":"2024-05-01T12:00:00Z [INFO] 1.2.3.4:1 - 1 \"A IN x\"\n","stream":"stdout"}"#),
        ("-", r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","stage":"x"}"#),
        ("-", r#"{"user":{"level":"debug"},"msg":"x"}"#),
        ("-", r#"{"alert":{"severity":"info"},"levels":["debug"]}"#),
        ("error", r#"{"levelno":40,"msg":"x"}"#),
        ("info", r#"{"MESSAGE":"x","PRIORITY":"6"}"#),
        ("warn", r#"{"type": "server", "level": "WARN", "message": "cut"#),
        ("-", r#"{"a":"#),
        ("-", r#"{"level":"#),
        ("-", r#"{"level":"inf"#),
        ("-", "{"),
        ("-", "{}"),
        ("error", r#"2024-05-01T12:00:00Z app[1]: {"level":"error","msg":"x"}"#),
    ]);
}

#[test]
fn misleading() {
    check(&[
        ("error", "ERROR: could not set log level=info"),
        ("error", "2024-05-01 12:00:00 ERROR [debug-thread] DEBUG mode off"),
        ("error", "[error] info service is down"),
        ("error", "2024-05-01 12:00:00,123 - app.info - ERROR - level: INFO"),
        ("error", "time=2024-05-01T12:00:00Z level=error msg=\"level=debug is no level\""),
        ("error", "msg=\"level=debug is no level\" level=error"),
        ("error", r#"{"msg":"{\"level\":\"debug\"}","severity":"ERROR"}"#),
        ("error", r#"{"info":{"level":"info"},"debug":false,"level":"error"}"#),
        ("critical", "2024-05-01 12:00:00 UTC [1] FATAL:  database \"debug\" does not exist"),
        ("critical", "panic: info: nil map"),
        ("error", "E0512 12:00:00.123456 1 info.go:1] INFO: x"),
        ("error", "E, [2024-05-01T12:00:00.123456 #12] ERROR -- : INFO: retry"),
        ("error", "2024/05/01 12:00:00 [error] 31#31: [info] x"),
        ("error", "ERROR:info:debug"),
        ("error", "2024-05-01T12:00:00Z ERROR info: debug: trace"),
        ("error", "2024-05-01 12:00:00.123 [info-pool-1] ERROR com.debug.Info - x"),
        ("error", "debug=true level=error"),
        ("error", "<11>1 2024-05-01T12:00:00Z host app 1 - - [info] text"),
        ("info", "INFO: failed to find an ERROR"),
        ("info", "2024-05-01 12:00:00 INFO ERROR handler registered"),
        ("-", "error count: 0"),
        ("-", "no debug symbols found"),
        ("-", "Debug mode is off, 3 errors"),
        ("-", "DEBUG mode is off"),
        ("-", "Log level set to INFO"),
        ("-", "log level: DEBUG (from environment)"),
        ("-", "LOG_LEVEL=debug"),
        ("-", "level=info"),
        ("-", "debug: false"),
        ("-", "  info: 'x',"),
        ("-", "    at info.debug (/app/info.js:1:2)"),
        ("-", "Traceback (most recent call last):"),
        ("-", "    logger.info(\"x\")"),
        ("-", "java.lang.RuntimeException: INFO x"),
        ("-", "Exception in thread \"main\" java.lang.Error: debug"),
        ("-", "TypeError: info: undefined"),
        ("-", "2024-05-01 12:00:00 Additional info: disk failing"),
        ("-", "Additional INFO: disk failing"),
        ("-", "2024-05-01 12:00:00 Could not read INFO file"),
        ("-", "connection lost, info follows"),
        ("-", "INFO command failed"),
        ("-", "TRACE /path HTTP/1.1 405"),
        ("-", "2024-05-01 12:00:00 10.0.0.1 TRACE /path - 405"),
        ("-", "10.0.0.1 - - [01/May/2024:12:00:00 +0000] \"GET /info HTTP/1.1\" 500 12 \"-\" \"debug\""),
        ("-", "May  1 12:00:00 host sshd[1]: Failed password for info from 1.2.3.4"),
        ("-", "May  1 12:00:00 host kernel: usb 1-1: debug port found"),
        ("-", "Jun 19 04:08:57 combo logrotate: ALERT exited abnormally with [1]"),
        ("-", "[10.30 16:54:23] x.exe - proxy.example:5070 error : Could not connect through proxy"),
        ("-", "460903 node-70 action error 1098766111 1 clusterAddMember"),
        ("-", "20171223-22:15:29:606|Step_LSC|30002312|onStandStepChanged 3579"),
        ("-", "2024-05-01 12:00:00.123 UTC [1] DETAIL:  INFO: Key (level)=(debug) already exists."),
        ("-", "2024-05-01 12:00:00.123 UTC [1] STATEMENT:  INSERT INTO debug VALUES ('info')"),
        ("-", "I/O: reading failed"),
        ("-", "2024-05-01 12:00:00 I am dying"),
        ("-", "5092:signal-handler (1496141844) Received SIGINT scheduling shutdown..."),
        ("-", "<info>value</info>"),
        ("-", "information technology outage"),
        ("-", "Jul  6 10:21:55 mac kernel[0]: ARPT: 620749.901374: PowerSource Information: onWake"),
        ("-", "boom\nINFO: x"),
        ("-", "INFO:\nx"),
        ("error", "ERROR\nINFO: x"),
        ("-", "| info | 3 |"),
        ("-", "| INFO  | 3 |"),
        ("-", "|INFO|3|"),
        ("-", "< info: header"),
        ("-", "> debug: header"),
        ("-", "Info"),
        ("-", "INFO"),
        ("-", "kernel stack trace:"),
        ("-", "Trace:"),
        ("-", "A, [2024-05-01T12:00:00.123456 #12]   ANY -- : x"),
        ("-", ""),
        ("-", "   "),
        ("-", "[info"),
        ("-", "\u{1b}[31m"),
        ("-", "ошибка: info"),
    ]);
}

#[test]
fn names_and_numbers() {
    for level in Level::ALL {
        assert_eq!(Level::from_name(level.as_str()), Some(level));
        assert_eq!(Level::from_canonical(level.as_str()), Some(level));
        assert_eq!(Level::ALL[level as usize], level);
        assert_eq!(Level::from_name(&level.to_string().to_uppercase()), Some(level));
    }
    for (name, level) in
        [("W", Level::Warn), ("eror", Level::Error), ("Information", Level::Info), ("silly", Level::Trace)]
    {
        assert_eq!(Level::from_name(name), Some(level), "{name}");
    }
    for name in ["", "loud", "informations", "infos", "Metadata", "error-handler", "30"] {
        assert_eq!(Level::from_name(name), None, "{name}");
    }
    assert_eq!(Level::from_pino(30), Some(Level::Info));
    assert_eq!(Level::from_pino(35), Some(Level::Notice));
    assert_eq!(Level::from_pino(7), None);
    assert_eq!(Level::from_syslog(3), Some(Level::Error));
    assert_eq!(Level::from_syslog(8), None);
}

/// Whatever stands in a line, finding its level neither panics nor depends on what stands after the head.
#[test]
fn any_cut_of_any_line() {
    let lines = [
        "<30>1 2024-05-01T12:00:00Z [a] (b) {c} =INFO REPORT==== E/x: 1:M 01 May 12:00:00 - [E 1] x=\"y\\\" level=info",
        r#"{"a":{"b":[1,{"c":"\""}]},"log":"\u001b[3","tags":["x"],"level":{"name":"INFO"}}"#,
        "\u{1b}[2m2024\u{1b}[0m INFO: \u{1b}[",
        "2024-05-01 12:00:00.123 UTC,\"a\",ERROR,42P01,",
    ];
    detect(&"<1>".repeat(100_000));
    detect(&"[".repeat(100_000));
    detect(&r#"{"log":{"#.repeat(100_000));
    for line in lines {
        for start in 0..line.len() {
            for end in start..line.len() {
                if let Some(part) = line.get(start..=end) {
                    detect(part);
                }
            }
        }
    }
}
