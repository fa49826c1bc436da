namespace ValueFlow.Studies

open System

/// A picture as data: the gallery draws all of them alike.
[<AbstractClass>]
type Figure(title: string) =
    /// What it shows.
    member _.Title = title

/// What every figure demands of its numbers, in one wording.
module internal FigureInput =
    let given (name: string) (place: string) (values: 'a[]) =
        if isNull (box values) then
            invalidArg name $"{place} must be an array but is nothing"

    let some (name: string) (place: string) (values: 'a[]) =
        given name place values

        if values.Length = 0 then
            invalidArg name $"{place} must have at least one entry but is empty"

    let sameLength (name: string) (place: string) (expected: int) (values: 'a[]) =
        given name place values

        if values.Length <> expected then
            invalidArg name $"{place} must have {expected} entries but has {values.Length}"

    let finite (name: string) (place: string) (values: float[]) =
        given name place values

        match values |> Array.tryFindIndex (Double.IsFinite >> not) with
        | Some i -> invalidArg name $"{place}[{i}] must be a finite number but is {values[i]}"
        | None -> ()

    let within (name: string) (place: string) (low: float) (high: float) (value: float) =
        if not (value >= low && value <= high) then
            invalidArg name $"{place} must lie in [{low}, {high}] but is {value}"
