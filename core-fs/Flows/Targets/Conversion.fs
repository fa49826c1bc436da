namespace ValueFlow.Core.Flows

open System
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Dynamics

/// A rule that turns known targets into another at given interior times: wanted = c x + sum_i c_i known_i.
[<NoComparison; NoEquality>]
type Conversion =
    private
        {
            known: Target list
            wanted: Target
            time: InteriorTime
            numbers: float[][]
        }

    /// What must be known.
    member this.Known = this.known
    /// What is computed.
    member this.Wanted = this.wanted
    /// When.
    member this.Time = this.time

/// Conversions between targets.
///
/// Every target is the conditional mean of a linear form of (x0, x1, z); x_t itself is one whose mean is known, and noise in x_t ties two of the means
/// together (Tweedie's formula). A target follows from others exactly if its form lies in the span of theirs: then the conversion is their linear combination,
/// else it is refused. The conversions are a groupoid: identities, inverses, and paths that agree.
[<RequireQualifiedAccess>]
module Conversion =

    // Forms whose conditional mean is zero: alpha z - gamma x0 where both are standard normal; z where x_t has none of it.
    let private relation (interpolant: Interpolant) (numbers: Coefficients) : Form =
        match interpolant.Gaussian with
        | GaussianEnd.Start -> { Start = numbers.Gamma; Finish = 0.0; Noise = -numbers.Alpha }
        | GaussianEnd.Finish -> { Start = 0.0; Finish = numbers.Gamma; Noise = -numbers.Beta }
        | GaussianEnd.Neither when numbers.Gamma = 0.0 -> { Start = 0.0; Finish = 0.0; Noise = 1.0 }
        | GaussianEnd.Neither -> { Start = 0.0; Finish = 0.0; Noise = 0.0 }

    let private entries (f: Form) = [| f.Start; f.Finish; f.Noise |]
    let private length (v: float[]) = sqrt (Array.sumBy (fun a -> a * a) v)

    /// c with sum_i c_i rows_i = wanted, by elimination with complete pivoting on rows of unit length; nothing where wanted lies outside their span.
    let internal span (rows: float[][]) (wanted: float[]) : float[] voption =
        let count = rows.Length
        let lengths = rows |> Array.map length
        let target = length wanted
        // Columns are the rows of unit length, the last one is the wanted vector of unit length.
        let table =
            Array2D.init 3 (count + 1) (fun r c ->
                let vector, size = if c < count then rows[c], lengths[c] else wanted, target
                if size > 0.0 then vector[r] / size else 0.0)

        let pivots = ResizeArray<struct (int * int)>()
        let free r = pivots.TrueForAll(fun (struct (used, _)) -> used <> r)

        let largest () =
            let mutable best = struct (-1, -1, 1e-11)

            for r in 0..2 do
                if free r then
                    for c in 0 .. count - 1 do
                        let struct (_, _, size) = best

                        if abs table[r, c] > size then
                            best <- struct (r, c, abs table[r, c])

            best

        let mutable searching = true

        while searching do
            match largest () with
            | struct (-1, _, _) -> searching <- false
            | struct (r, c, _) ->
                pivots.Add(struct (r, c))
                let pivot = table[r, c]

                for k in 0..count do
                    table[r, k] <- table[r, k] / pivot

                for other in 0..2 do
                    if other <> r && table[other, c] <> 0.0 then
                        let factor = table[other, c]

                        for k in 0..count do
                            table[other, k] <- table[other, k] - factor * table[r, k]

        let largestSolution = pivots |> Seq.fold (fun most (struct (r, _)) -> Math.Max(most, abs table[r, count])) 1.0
        let isSolved = Seq.forall (fun r -> not (free r) || abs table[r, count] <= 1e-11 * largestSolution) [ 0; 1; 2 ]

        if not isSolved then
            ValueNone
        else
            let solution = Array.zeroCreate count

            for struct (r, c) in pivots do
                solution[c] <- table[r, count] * target / lengths[c]

            if Array.forall Double.IsFinite solution then ValueSome solution else ValueNone

    let private solve (interpolant: Interpolant) (known: Target list) (wanted: Target) (time: float) : Result<float[], TargetRefusal> =
        let numbers = Interpolant.at interpolant time
        let formOf = Target.formOf interpolant time numbers

        let rec collect (forms: Form list) (rest: Target list) =
            match rest with
            | [] -> Ok(List.rev forms)
            | next :: later -> formOf next |> Result.bind (fun f -> collect (f :: forms) later)

        collect [] known
        |> Result.bind (fun forms -> formOf wanted |> Result.map (fun goal -> struct (forms, goal)))
        |> Result.bind (fun (struct (forms, goal)) ->
            let rows = (Target.position numbers :: forms) @ [ relation interpolant numbers ] |> List.map entries |> Array.ofList

            match span rows (entries goal) with
            | ValueSome solution -> Ok(Array.truncate (known.Length + 1) solution)
            | ValueNone -> Error(TargetRefusal.NotDetermined(known, wanted, time)))

    /// The conversion from what is known to what is wanted at interior times, or why there is none.
    let tryBetween
        (interpolant: Interpolant)
        (known: Target list)
        (wanted: Target)
        (time: InteriorTime)
        : Result<Conversion, TargetRefusal> =
        Array.init time.Count (fun row -> solve interpolant known wanted time[row])
        |> Target.collect
        |> Result.map (fun rows ->
            let numbers = Array.init (known.Length + 1) (fun i -> rows |> Array.map (fun row -> row[i]))
            { known = known; wanted = wanted; time = time; numbers = numbers })

    /// The conversion from what is known to what is wanted; throws an ArgumentException that says why there is none.
    let between (interpolant: Interpolant) (known: Target list) (wanted: Target) (time: InteriorTime) : Conversion =
        tryBetween interpolant known wanted time |> Target.orThrow

    /// The wanted target at the points x (B, ...), from the known ones in the order of the conversion, each shaped like x.
    let apply (conversion: Conversion) (x: torch.Tensor) (known: torch.Tensor list) : torch.Tensor =
        TimeRows.requireBatch (nameof x) x
        Shape.requireLength (nameof known) conversion.known.Length known.Length
        known |> List.iteri (fun i value -> TimeRows.requireLike $"known[{i}]" x value)

        if not conversion.time.IsShared then
            Shape.requireLength "t" (int x.shape[0]) conversion.time.Count

        TimeRows.combine x (List.zip (List.ofArray conversion.numbers) (x :: known))

    /// A field of the wanted target from fields of known ones; throws an ArgumentException at the times 0 and 1 and where the algebra refuses.
    let field (interpolant: Interpolant) (known: (Target * Field) list) (wanted: Target) : Field =
        Field.create $"{wanted} by conversion" (fun t x ->
            TimeRows.read x t |> ignore
            let conversion = between interpolant (known |> List.map fst) wanted (InteriorTime.OfTensor t)
            Lifetime.keep (fun () -> apply conversion x (known |> List.map (fun (_, field) -> field.Apply t x))))
