namespace ValueFlow.Studies

open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// What a program is to compute: its outputs on the test integers, and one program that does.
type internal RpnSpecification = { Outputs: int[]; Reference: int[] }

/// Programs of at most five tokens in reverse Polish notation, as the tree of their prefixes: a state for each prefix of at most four tokens and
/// one for the end; eight actions everywhere, seven tokens that are written and one that ends. The fifth token ends as well.
[<RequireQualifiedAccess>]
module internal RpnTree =

    let tokens = [| "x"; "1"; "2"; "+"; "-"; "*"; "/"; "end" |]
    let stop = 7
    let inputs = [| -3; 1; 2; 5 |]
    let longest = 5

    // Prefixes by length, seven to the power of the length each.
    let private offsets = Array.scan (fun sum length -> sum + pown 7 length) 0 [| 0 .. longest - 1 |]

    /// The states that write, and one more that has ended.
    let stateCount = offsets[longest] + 1

    /// The state of an empty program.
    let start = 0

    /// The tokens of a state's prefix.
    let prefix (state: int) : int[] =
        let length = Array.findIndexBack (fun first -> first <= state) offsets[.. longest - 1]
        let mutable code = state - offsets[length]
        let result = Array.zeroCreate length

        for i in length - 1 .. -1 .. 0 do
            result[i] <- code % 7
            code <- code / 7

        result

    /// The state after a token; -1 if the program has ended.
    let next (state: int) (length: int) (token: int) : int =
        if token = stop || length = longest - 1 then
            -1
        else
            offsets[length + 1] + 7 * (state - offsets[length]) + token

    let private run (program: int[]) (x: int) =
        let stack = System.Collections.Generic.Stack<int>()
        let mutable fault = 0.0

        for token in program do
            if fault = 0.0 then
                if token < 3 then
                    stack.Push(if token = 0 then x else token)
                elif stack.Count < 2 then
                    fault <- -1.0
                else
                    let b, a = stack.Pop(), stack.Pop()

                    match token with
                    | 3 -> stack.Push(a + b)
                    | 4 -> stack.Push(a - b)
                    | 5 -> stack.Push(a * b)
                    | _ when b = 0 -> fault <- -0.6
                    | _ -> stack.Push(a / b)

        if fault = 0.0 && stack.Count <> 1 then struct (-1.0, 0)
        elif fault < 0.0 then struct (fault, 0)
        else struct (0.0, stack.Pop())

    /// The outputs of a program on the test integers, or what its fault costs: 1 if it is no expression, 0.6 if it divides by zero.
    let outputs (program: int[]) : Result<int[], float> =
        let results = inputs |> Array.map (run program)
        let worst = results |> Array.map (fun (struct (fault, _)) -> fault) |> Array.min

        if worst < 0.0 then Error worst else Ok(results |> Array.map (fun (struct (_, value)) -> value))

    /// 1 for a program that computes what is asked for, -0.3 for one that computes something else, -0.6 and -1 for faults.
    let reward (outputsOf: Result<int[], float>) (wanted: int[]) : float =
        match outputsOf with
        | Ok found when found = wanted -> 1.0
        | Ok _ -> -0.3
        | Error fault -> fault

    /// For each row (state and token) the program that it ends, if it does.
    let programs: int[] voption[] =
        [|
            for s in 0 .. stateCount - 2 do
                let written = prefix s

                for token in 0..stop do
                    if next s written.Length token >= 0 then ValueNone
                    elif token = stop then ValueSome written
                    else ValueSome(Array.append written [| token |])
        |]

    let private results = lazy (programs |> Array.map (ValueOption.map outputs))

    /// For each row the reward of the program that it ends, zero if it ends none.
    let rewards (wanted: int[]) : float[] =
        results.Value
        |> Array.map (fun result -> result |> ValueOption.map (fun found -> reward found wanted) |> ValueOption.defaultValue 0.0)

    /// The decision process of a specification.
    let model (wanted: int[]) : Model =
        let builder = ModelBuilder stateCount
        builder.ActionNames tokens
        let rewards = rewards wanted

        for s in 0 .. stateCount - 2 do
            let length = (prefix s).Length

            for token in 0..stop do
                let after = next s length token
                builder.Add(s, token, (if after < 0 then stateCount - 1 else after), 1.0, rewards[8 * s + token])

        builder.Terminal(stateCount - 1)
        builder.Initial start

        match builder.Build() with
        | Ok model -> model
        | Error errors -> invalidOp (errors |> List.map ModelError.describe |> String.concat "; ")

    /// Specifications that depend on the input, no two the same, each with the program that it was drawn by.
    let specifications (generator: Generator) (count: int) : RpnSpecification[] =
        let candidates =
            Array.map2
                (fun program result ->
                    match program, result with
                    | ValueSome program, ValueSome(Ok outputs) when Array.distinct outputs |> Array.length > 1 ->
                        ValueSome { Outputs = outputs; Reference = program }
                    | _ -> ValueNone)
                programs
                results.Value
            |> Array.choose ValueOption.toOption

        Sampling.distinct generator candidates.Length candidates.Length
        |> Seq.map (fun i -> candidates[i])
        |> Seq.distinctBy _.Outputs
        |> Seq.truncate count
        |> Array.ofSeq

    /// A model of what follows a token in the reference program, mixed in each prefix with a share of a random law of its own, as a model errs in its contexts: for each
    /// row the probability of its token.
    let noisyBigrams (generator: Generator) (noise: float) (reference: int[]) : float[] =
        let counts = Array.init 8 (fun _ -> Array.zeroCreate<float> 8)
        // Token 7 stands for the start as well.
        let mutable last = stop

        for token in (if reference.Length < longest then Array.append reference [| stop |] else reference) do
            counts[last].[token] <- counts[last].[token] + 1.0
            last <- token

        [|
            for s in 0 .. stateCount - 2 do
                let written = prefix s
                let row = counts[if written.Length = 0 then stop else Array.last written]
                let total = Array.sum row

                yield!
                    Array.map2
                        (fun n random -> (1.0 - noise) * (if total > 0.0 then n / total else 1.0 / 8.0) + noise * random)
                        row
                        (Sampling.simplex generator 8)
        |]

    /// The rows of the program that a policy writes: by <c>choose</c>, from a state to a token.
    let write (choose: int -> int) : int[] =
        [|
            let mutable state, length = start, 0

            while state >= 0 do
                let token = choose state
                yield 8 * state + token
                state <- next state length token
                length <- length + 1
        |]
