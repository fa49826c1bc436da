namespace ValueFlow.Core.Values

open System
open ValueFlow.Core.Foundations

/// The values of one model under several discounts, backed up together.
[<RequireQualifiedAccess>]
module SeveralDiscounts =

    /// On vectors of the values under the first discount, then those under the second, and so on: (T V)_i = T_{gamma_i} V_i for the same two summaries. Monotone where they are; it contracts
    /// by the largest of the moduli in the sup norm, with the largest rounding; a constant passes by between the least and the largest of the factors. A weighted sum of the blocks values
    /// a reward t steps ahead by the same sum of the powers gamma_i^t, a hyperbolic discount, say.
    /// Sozou 1998, "On hyperbolic discounting and uncertain hazard rates"; Fedus, Gelada, Bengio, Bellemare and Larochelle 2019, "Hyperbolic discounting and learning over multiple horizons".
    let create (model: Model) (discounts: float list) (state: StateSummary) (action: ActionSummary) : Operator<float[]> =
        if discounts.IsEmpty then
            invalidArg (nameof discounts) "there must be at least one discount but there is none"

        let parts = discounts |> List.map (fun discount -> Bellman.Create(model, discount, state, action).Operator)
        let count = model.StateCount
        let block (values: float[]) i = Array.sub values (i * count) count
        let claims = parts |> List.map (Operator.tryClaim MetricKey.Sup)

        {
            Name = parts |> List.map _.Name |> String.concat " x "
            Space = Space.vectors
            Claims =
                [
                    if claims |> List.forall _.IsSome then
                        let claims = claims |> List.map _.Value

                        { claims.Head with
                            Modulus = claims |> List.map _.Modulus |> List.max
                            Rounding =
                                if claims |> List.forall _.Rounding.IsSome then
                                    ValueSome(fun values ->
                                        claims |> List.mapi (fun i claim -> claim.Rounding.Value(block values i)) |> List.max)
                                else
                                    ValueNone
                        }
                ]
            Monotone = parts |> List.forall _.Monotone
            Translation =
                if parts |> List.forall _.Translation.IsSome then
                    let factors = parts |> List.map _.Translation.Value

                    ValueSome(
                        struct (factors |> List.map (fun (struct (a, _)) -> a) |> List.min,
                                factors |> List.map (fun (struct (_, b)) -> b) |> List.max)
                    )
                else
                    ValueNone
            Apply =
                fun values ->
                    Shape.requireLength (nameof values) (count * parts.Length) values.Length
                    parts |> List.mapi (fun i part -> part.Apply(block values i)) |> Array.concat
            ApplyInto = ValueNone
        }
