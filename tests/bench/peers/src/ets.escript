#!/usr/bin/env escript
%%! +S 1
%% OTP's own session cache, `ssl_client_session_cache_db`, told by lines what to do as the other peers are.
%% The names and the timing are those of the crate `innkeeper-work`.

-mode(compile).
-define(CACHE, ssl_client_session_cache_db).
-define(SINGLES, 16).

main([SessionsText]) ->
    Sessions = list_to_integer(SessionsText),
    Cache = ?CACHE:init([{role, client}]),
    [update(Cache, name(N, Sessions)) || N <- lists:seq(0, Sessions - 1)],
    ok = io:put_chars("ready\n"),
    serve(Cache, Sessions).

serve(Cache, Sessions) ->
    case io:get_line("") of
        Line when is_list(Line) ->
            [Work | Numbers] = string:lexemes(Line, " \n"),
            Names = [name(list_to_integer(N), Sessions) || N <- Numbers],
            round(Cache, list_to_atom(Work), Names, Sessions),
            serve(Cache, Sessions);
        _ ->
            ok
    end.

name(N, Sessions) ->
    Half = Sessions div 2,
    Partial = case N >= Half andalso N < Sessions of
        true -> iolist_to_binary(["ten-", integer_to_list((N - Half) div 10), ".example"]);
        false -> iolist_to_binary(["one-", integer_to_list(N), ".example"])
    end,
    Hash = (N * 16#9e3779b1) band 16#ffffffff,
    {{Partial, 443}, <<Hash:32, N:32, (binary:copy(<<3>>, 24))/binary>>}.

round(Cache, Work, Names, Sessions) ->
    case Work =:= take orelse Work =:= delete of
        true -> [update(Cache, Name) || Name <- Names];
        false -> ok
    end,
    erlang:garbage_collect(),
    Do = do(Work, Cache, Sessions),
    {WarmUp, Timed} = case Work =:= take orelse Work =:= delete of
        true -> {[], Names};
        false -> lists:split(length(Names) div 2, Names)
    end,
    lists:foreach(Do, WarmUp),
    {Together, Singly} = lists:split(max(1, length(Timed) - ?SINGLES), Timed),
    Start = erlang:monotonic_time(nanosecond),
    lists:foreach(Do, Together),
    Time = erlang:monotonic_time(nanosecond) - Start,
    Singles = [single(Do, Name) || Name <- Singly],
    io:put_chars(lists:join(" ", [integer_to_list(N) || N <- [Time * 1000 div length(Together) | Singles]])),
    io:put_chars("\n").

single(Do, Name) ->
    Start = erlang:monotonic_time(nanosecond),
    Do(Name),
    erlang:monotonic_time(nanosecond) - Start.

update(Cache, Name) ->
    ?CACHE:update(Cache, Name, session()).

session() ->
    binary:copy(<<7>>, 300).

do('lookup-hit', Cache, _) ->
    fun(Name) -> 300 = byte_size(?CACHE:lookup(Cache, Name)) end;
do('lookup-miss', Cache, _) ->
    fun(Name) -> undefined = ?CACHE:lookup(Cache, Name) end;
do(take, Cache, _) ->
    fun(Name) -> 300 = byte_size(?CACHE:lookup(Cache, Name)), ?CACHE:delete(Cache, Name) end;
do(update, Cache, _) ->
    Session = session(),
    fun(Name) -> ?CACHE:update(Cache, Name, Session) end;
do(delete, Cache, _) ->
    fun(Name) -> ?CACHE:delete(Cache, Name) end;
do('select-1', Cache, _) ->
    fun({Partial, _}) -> [_] = ?CACHE:select_session(Cache, Partial) end;
do('select-10', Cache, _) ->
    fun({Partial, _}) -> 10 = length(?CACHE:select_session(Cache, Partial)) end;
do(foldl, Cache, Sessions) ->
    fun(_) -> Sessions = ?CACHE:foldl(fun(_, Seen) -> Seen + 1 end, 0, Cache) end.
