namespace ValueFlow.Core.Values

/// FrozenLake: cross the ice from S to G without falling into a hole H. Entering G earns 1; G and H end the episode. Actions are left, down,
/// right, up. Brockman et al. 2016, "OpenAI Gym".
[<RequireQualifiedAccess>]
module FrozenLake =

    /// The standard map of 4 x 4.
    let map4x4 = [| "SFFF"; "FHFH"; "FFFH"; "HFFG" |]

    /// The standard map of 8 x 8.
    let map8x8 = [| "SFFFFFFF"; "FFFFFFFF"; "FFFHFFFF"; "FFFFFHFF"; "FFFHFFFF"; "FHHFFFHF"; "FHFFHFHF"; "FFFHFFFG" |]

    /// The slip of the slippery lake: the intended direction and each side have probability one third.
    let slippery = 2.0 / 3.0

    let private problems (map: string[]) =
        [
            if map.Length = 0 then
                "expected at least one row, found none"
            else
                for row in 0 .. map.Length - 1 do
                    if map[row].Length <> map[0].Length then
                        $"row {row}: expected {map[0].Length} columns like row 0, found {map[row].Length}"

                    for column in 0 .. map[row].Length - 1 do
                        if not ("SFHG".Contains map[row].[column]) then
                            $"row {row}, column {column}: expected one of S F H G, found '{map[row].[column]}'"

                if map[0].Length = 0 then
                    "row 0: expected at least one column, found none"

                if not (map |> Array.exists _.Contains('S')) then
                    "expected a start S, found none"

                if not (map |> Array.exists _.Contains('G')) then
                    "expected a goal G, found none"
        ]

    /// The lake as a grid of one's own map, each row a string of S, F, H and G. An ArgumentException lists all that is wrong with a map.
    let grid (map: string[]) (slip: float) : Grid =
        match problems map with
        | [] ->
            let cell mark =
                match mark with
                | 'G' -> Grid.terminal 'G' 1.0
                | 'H' -> Grid.terminal 'H' 0.0
                | 'S' -> { Grid.floor 0.0 with Mark = 'S'; Start = true }
                | _ -> Grid.floor 0.0

            { Grid.create map.Length map[0].Length 0.0 with
                Cells = map |> Array.collect (fun row -> row.ToCharArray() |> Array.map cell)
            }
            |> Grid.slipping slip
        | found -> found |> String.concat "; " |> invalidArg (nameof map)

    /// The model of a map, with each move going astray with the probability (half to either side).
    let create (map: string[]) (slip: float) : Model = Grid.toModel (grid map slip)

    /// The standard slippery lake of 4 x 4.
    let standard () : Model = create map4x4 slippery
