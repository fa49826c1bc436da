namespace ValueFlow.Laws

open System
open ValueFlow.Core.Foundations

/// The laws.
[<RequireQualifiedAccess>]
module Law =

    let private number (x: float) = x.ToString("G9", Globalization.CultureInfo.InvariantCulture)

    let private plain holds finding = Trials.plain holds finding

    // Rounding of an operator at a point, in a metric: as claimed, or else a little of the size of what it maps.
    let private slackAt (scene: Scene<'x>) (key: MetricKey) (point: 'x) (image: 'x) =
        let stated =
            match Operator.tryClaim key scene.Operator with
            | ValueSome claim when claim.Rounding.IsSome -> claim.Rounding.Value point
            | _ -> nan

        // An infinite bound says that none is known; taken at its word it would let every law hold.
        if Double.IsFinite stated then
            stated
        else
            let size x = scene.Subject.Drop x |> Array.fold (fun largest v -> Math.Max(largest, abs v)) 0.0
            1e-12 * (size point + size image)

    let private images (scene: Scene<'x>) (judge: 'x -> 'x -> Judgement) =
        let tx, ty = scene.Operator.Apply scene.X, scene.Operator.Apply scene.Y
        let judgement = judge tx ty
        scene.Operator.Space.Release tx
        scene.Operator.Space.Release ty
        judgement

    let private shortens (scene: Scene<'x>) (metric: Metric<'x>) (modulus: float) (symbol: string) =
        images scene (fun tx ty ->
            let before, after = metric.Distance scene.X scene.Y, metric.Distance tx ty
            let slack = slackAt scene metric.Key scene.X tx + slackAt scene metric.Key scene.Y ty
            let holds = after <= modulus * before * (1.0 + 1e-12) + slack

            {
                Holds = holds
                Finding = $"d(T x, T y) = {number after} > {number (modulus * before)} = {symbol} d(x, y) in the {metric.Key} metric"
                // Where rounding is a good part of the distance, the quotient says nothing.
                Measured = if before > 0.0 && (not holds || slack <= 1e-9 * before) then after / before else nan
                Claimed = modulus
            })

    /// d(T x, T y) &lt;= L d(x, y) in every metric in which the operator claims a modulus L. Banach 1922.
    let contraction<'x> : Law<'x> =
        {
            name = "contraction"
            statement = "d(T x, T y) <= L d(x, y)"
            missing = fun operator -> if operator.Claims.IsEmpty then ValueSome "no modulus is claimed" else ValueNone
            judge =
                fun scene ->
                    let judgements = scene.Operator.Claims |> List.map (fun claim -> shortens scene claim.Metric claim.Modulus "L")
                    judgements |> List.tryFind (_.Holds >> not) |> Option.defaultValue judgements.Head
        }

    /// d(T x, T y) &lt;= d(x, y) in a metric, whatever is claimed.
    let nonExpansion (metric: Metric<'x>) : Law<'x> =
        {
            name = "non-expansion"
            statement = $"d(T x, T y) <= d(x, y) in the {metric.Key} metric"
            missing = fun _ -> ValueNone
            judge = fun scene -> shortens scene metric 1.0 "1"
        }

    let private ordered (operator: Operator<'x>) = if operator.Space.Order.IsNone then ValueSome "the space has no order" else ValueNone

    /// x &lt;= y everywhere implies T x &lt;= T y everywhere.
    let monotonicity<'x> : Law<'x> =
        {
            name = "monotonicity"
            statement = "x <= y implies T x <= T y"
            missing = fun operator -> if operator.Monotone then ordered operator else ValueSome "monotonicity is not claimed"
            judge =
                fun scene ->
                    // The larger of the two points at every place lies above the first.
                    let above = scene.Subject.Lift(Array.map2 (fun (a: float) b -> Math.Max(a, b)) scene.Trial.X scene.Trial.Y)

                    let judgement =
                        images { scene with Y = above } (fun tx ty ->
                            let excess = scene.Operator.Space.Order.Value.Excess tx ty
                            let slack = slackAt scene MetricKey.Sup scene.X tx + slackAt scene MetricKey.Sup above ty
                            plain (excess <= slack) $"x <= max(x, y), but T x exceeds T max(x, y) by {number excess} at a place")

                    scene.Operator.Space.Release above
                    judgement
        }

    /// a c &lt;= T(x + c) - T x &lt;= b c for every constant c &gt;= 0, for the factors a and b that the operator claims.
    let translation<'x> : Law<'x> =
        {
            name = "translation"
            statement = "a c <= T(x + c) - T x <= b c"
            missing = fun operator -> if operator.Translation.IsSome then ordered operator else ValueSome "no factors are claimed"
            judge =
                fun scene ->
                    let order = scene.Operator.Space.Order.Value
                    let struct (least, largest) = scene.Operator.Translation.Value
                    let c = scene.Trial.C
                    let shifted = order.Shift c scene.X

                    let judgement =
                        images { scene with Y = shifted } (fun tx ty ->
                            let most = order.Excess ty tx
                            let fewest = -(order.Excess tx ty)
                            let slack = slackAt scene MetricKey.Sup scene.X tx + slackAt scene MetricKey.Sup shifted ty + 1e-12 * c
                            let holds = most <= largest * c + slack && fewest >= least * c - slack

                            plain
                                holds
                                $"T(x + c) - T x lies in [{number fewest}, {number most}], not in [{number (least * c)}, {number (largest * c)}]")

                    scene.Operator.Space.Release shifted
                    judgement
        }

    /// T x* = x* within the tolerance and what rounding adds up to, for the point that <c>find</c> gives from an operator and a point to start from, and d(T x, x*) &lt;= L d(x, x*) from everywhere.
    let fixedPoint (tolerance: float) (find: Operator<'x> -> 'x -> 'x) : Law<'x> =
        {
            name = "fixed point"
            statement = "T x* = x* and d(T x, x*) <= L d(x, x*)"
            missing =
                fun operator ->
                    match Operator.certifyingClaim operator with
                    | ValueSome _ -> ValueNone
                    | ValueNone -> ValueSome "no contraction is claimed"
            judge =
                fun scene ->
                    let claim = (Operator.certifyingClaim scene.Operator).Value
                    let point = find scene.Operator scene.Y
                    let image, tx = scene.Operator.Apply point, scene.Operator.Apply scene.X
                    let gap = claim.Metric.Distance image point
                    let slack = slackAt scene claim.Metric.Key point image
                    let before, after = claim.Metric.Distance scene.X point, claim.Metric.Distance tx point

                    // Rounding in every application of the search adds up to slack / (1 - L) in x*, and so to twice that in d(T x*, x*).
                    let allowed = tolerance + 2.0 * slack / (1.0 - claim.Modulus)

                    let judgement =
                        if gap > allowed then
                            plain false $"d(T x*, x*) = {number gap} > {number allowed}"
                        else
                            // x* itself is off by at most d(T x*, x*) / (1 - L).
                            let off = (allowed + slack) / (1.0 - claim.Modulus)
                            let holds = after <= claim.Modulus * before + 2.0 * off + slack
                            plain holds $"d(T x, x*) = {number after} > {number (claim.Modulus * before)} = L d(x, x*)"

                    [ point; image; tx ] |> List.iter scene.Operator.Space.Release
                    judgement
        }

    /// T x = S x within a relative tolerance, for another operator S of the same trial.
    let equality (tolerance: float) (other: Subject<'y>) : Law<'x> =
        {
            name = "equality"
            statement = $"T x = S x within {number tolerance}"
            missing = fun _ -> ValueNone
            judge =
                fun scene ->
                    let struct (operator, owner) = other.Make scene.Trial
                    use _owner = owner
                    let x = other.Lift scene.Trial.X
                    let sx, tx = operator.Apply x, scene.Operator.Apply scene.X
                    let left, right = scene.Subject.Drop tx, other.Drop sx
                    scene.Operator.Space.Release tx
                    [ x; sx ] |> List.iter operator.Space.Release

                    if left.Length <> right.Length then
                        plain false $"T x has {left.Length} entries, S x {right.Length}"
                    else
                        // Rewards may be much larger than what is left of them.
                        let rewards =
                            match scene.Trial.Sketch with
                            | ValueSome sketch -> sketch.States |> List.concat |> List.collect snd |> List.map _.Reward
                            | ValueNone -> []

                        let size =
                            Seq.concat [ Seq.ofArray right; Seq.ofArray scene.Trial.X; Seq.ofList rewards ]
                            |> Seq.map abs
                            |> Seq.fold max 1.0

                        let gaps = Array.map2 (fun (a: float) b -> if a = b then 0.0 else abs (a - b)) left right
                        let worst = if gaps.Length = 0 then 0.0 else Array.max gaps
                        let place = Array.IndexOf(gaps, worst)

                        plain
                            (worst <= tolerance * size)
                            $"at place {place} T x = {number left[max 0 place]} but S x = {number right[max 0 place]}"
        }

    let private bits (x: float[]) = x |> Array.map BitConverter.DoubleToInt64Bits

    /// Apply leaves its argument as it is, returns something fresh, and the same again; ApplyInto, where there is one, writes the same.
    let purity<'x> : Law<'x> =
        {
            name = "purity"
            statement = "T leaves x as it is, returns a fresh result, the same each time; ApplyInto writes it"
            missing = fun _ -> ValueNone
            judge =
                fun scene ->
                    let drop = scene.Subject.Drop
                    let before = bits (drop scene.X)
                    let first, second = scene.Operator.Apply scene.X, scene.Operator.Apply scene.X

                    let into =
                        scene.Operator.ApplyInto
                        |> ValueOption.map (fun into ->
                            let destination = scene.Operator.Space.Copy first
                            // Whatever stood there before is no part of the answer.
                            into.Invoke(scene.Y, destination)
                            into.Invoke(scene.X, destination)
                            destination)

                    let judgement =
                        if bits (drop scene.X) <> before then
                            plain false "T changed its argument"
                        elif obj.ReferenceEquals(first, scene.X) then
                            plain false "T returned its argument itself"
                        elif obj.ReferenceEquals(first, second) then
                            plain false "T returned the same object twice"
                        elif bits (drop first) <> bits (drop second) then
                            plain false "T gave two different results for one argument"
                        elif into.IsSome && bits (drop into.Value) <> bits (drop first) then
                            plain false "ApplyInto wrote something else than Apply returns"
                        else
                            plain true ""

                    if not (obj.ReferenceEquals(first, scene.X)) then
                        scene.Operator.Space.Release first

                    if not (obj.ReferenceEquals(first, second)) && not (obj.ReferenceEquals(second, scene.X)) then
                        scene.Operator.Space.Release second

                    into |> ValueOption.iter scene.Operator.Space.Release
                    judgement
        }

    /// An application leaves exactly one tensor behind: its result.
    let leakFreedom: Law<TorchSharp.torch.Tensor> =
        {
            name = "leak-freedom"
            statement = "live tensors after = live tensors before + 1"
            missing = fun _ -> ValueNone
            judge =
                fun scene ->
                    let mutable result = scene.X
                    let born = Lifetime.born (fun () -> result <- scene.Operator.Apply scene.X)
                    scene.Operator.Space.Release result
                    plain (born = 1L) $"one application leaves {born} tensors behind"
        }

    /// Tries a law on a subject with the options.
    let checkWith (options: LawOptions) (law: Law<'x>) (subject: Subject<'x>) : Report = Trials.run options law subject

    /// Tries a law on a subject: 200 cases, seed 1.
    let check (law: Law<'x>) (subject: Subject<'x>) : Report = checkWith (LawOptions()) law subject

    /// Tries every law that needs nothing more than the operator: contraction, monotonicity, translation, purity. Those that do not apply say so.
    let all (subject: Subject<'x>) : Report list =
        [ contraction; monotonicity; translation; purity ] |> List.map (fun law -> check law subject)
